#include "runtime/sampling/sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/base/check.hpp"
#include "runtime/sampling/philox.hpp"
#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

constexpr float largest = std::numeric_limits<float>::max();
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// The logit, or what stands for it where it is NaN or +infinity.
float comparable(float logit) {
  const float bounded = logit < largest ? logit : largest;
  return std::isnan(logit) ? minus_infinity : bounded;
}

float top_of(std::span<const candidate> c) {
  float top = minus_infinity;
  for (const candidate& x : c) top = std::max(top, x.logit);
  return top;
}

/// Sets each weight by the softmax of the candidates alone. Returns their sum.
uint64_t weigh(std::span<candidate> c, float temperature) {
  const float top = top_of(c);
  std::array<float, 256> e;
  uint64_t total = 0;
  for (size_t begin = 0; begin < c.size(); begin += e.size()) {
    const auto part = std::span(e).first(std::min(e.size(), c.size() - begin));
    for (size_t i = 0; i < part.size(); ++i) part[i] = (c[begin + i].logit - top) / temperature;
    exp_nonpositive(part);
    for (size_t i = 0; i < part.size(); ++i) {
      c[begin + i].weight = to_weight(part[i]);
      total += c[begin + i].weight;
    }
  }
  return total;
}

/// fraction · total, rounded down. REQUIRES: fraction in [0, 1), so it is below total.
uint64_t share(float fraction, uint64_t total) {
  return static_cast<uint64_t>(static_cast<double>(fraction) * static_cast<double>(total));
}

/// Locally typical sampling (Meister, Pimentel, Wiher and Cotterell, 2022): the candidates whose
/// surprise -ln p is nearest to the expected surprise H, until their mass exceeds p. With D the
/// distance of a logit to the largest one, -ln p - H = D - E[D]: the normaliser drops out.
std::span<candidate> keep_typical(std::span<candidate> c, float p) {
  const uint64_t total = weigh(c, 1.0f);
  const float top = top_of(c);
  const auto distance = [top](const candidate& x) {
    return static_cast<double>(top) - static_cast<double>(x.logit);
  };
  uint64_t sum = 0;  // integers again: the mean does not depend on the order
  for (const candidate& x : c) {
    if (x.weight > 0) sum += static_cast<uint64_t>(static_cast<double>(x.weight) * distance(x));
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(total);
  const auto less = [&](const candidate& a, const candidate& b) {
    const double x = std::abs(distance(a) - mean);
    const double y = std::abs(distance(b) - mean);
    return x < y || (x == y && likelier{}(a, b));
  };
  return c.first(select_mass(c, share(p, total) + 1, less));
}

/// Nucleus sampling: the likeliest candidates, until their mass reaches p.
std::span<candidate> keep_top_mass(std::span<candidate> c, float p) {
  const uint64_t total = weigh(c, 1.0f);
  const double target = std::ceil(static_cast<double>(p) * static_cast<double>(total));
  return c.first(select_likeliest(c, static_cast<uint64_t>(target), 1.0f));
}

/// The candidates at least min_p times as likely as the likeliest, which weighs 2^40.
std::span<candidate> keep_at_least(std::span<candidate> c, float min_p) {
  weigh(c, 1.0f);
  const auto least = static_cast<uint64_t>(std::ceil(static_cast<double>(min_p) * 0x1p40));
  const auto end =
      std::partition(c.begin(), c.end(), [&](const candidate& x) { return x.weight >= least; });
  return c.first(static_cast<size_t>(end - c.begin()));
}

/// ln of the sum of e^logit; 0 when all are -infinity, so that their log-probabilities are, too.
double log_sum_exp(std::span<const float> logits) {
  const float top = max_of(logits);
  if (top == minus_infinity) return 0;
  return static_cast<double>(top) +
         std::log(static_cast<double>(sum_weights(logits, top)) * 0x1p-40);
}

float logprob(float logit, double log_sum) {
  return static_cast<float>(static_cast<double>(logit) - log_sum);
}

}  // namespace

float philox_uniform(uint64_t seed, uint64_t token_index, uint32_t choice) {
  const auto bits = philox4x32_10(
      {static_cast<uint32_t>(token_index), static_cast<uint32_t>(token_index >> 32), choice, 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<float>(bits[0] >> 8) * 0x1p-24f;
}

sampler::sampler(sampling_params p, std::span<const token_id> end_tokens, uint32_t n_vocab,
                 std::shared_ptr<sampler_scratch> scratch)
    : params_(std::move(p)),
      end_tokens_(end_tokens.begin(), end_tokens.end()),
      stop_tokens_(end_tokens_),
      n_vocab_(n_vocab),
      scratch_(scratch ? std::move(scratch) : std::make_shared<sampler_scratch>()) {
  LLMOS_CHECK(params_.seed || params_.temperature == 0);
  LLMOS_CHECK(n_vocab > 0 && n_vocab <= max_sampling_vocab);
  stop_tokens_.insert(stop_tokens_.end(), params_.stop_token_ids.begin(),
                      params_.stop_token_ids.end());
}

sampled_token sampler::sample(std::span<const float> logits, std::span<const token_id> history,
                              uint32_t index) {
  LLMOS_CHECK(logits.size() == n_vocab_);
  scratch_->logits.resize(n_vocab_);
  std::ranges::transform(logits, scratch_->logits.begin(), comparable);
  sampled_token out;
  const bool reports = params_.logprobs || params_.top_logprobs > 0;
  const double log_sum = reports ? log_sum_exp(scratch_->logits) : 0;
  if (params_.top_logprobs > 0) out.top = report_top(log_sum);
  adjust(history, index);
  out.id = choose(index);
  if (reports) out.logprob = logprob(comparable(logits[out.id]), log_sum);
  return out;
}

std::vector<token_logprob> sampler::report_top(double log_sum) {
  select_top(scratch_->logits, params_.top_logprobs, scratch_->candidates);
  std::vector<token_logprob> out;
  for (const candidate& x : scratch_->candidates) out.push_back({x.id, logprob(x.logit, log_sum)});
  // Logits that differ may round to one log-probability.
  std::ranges::sort(out, [](const token_logprob& a, const token_logprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
  });
  return out;
}

/// The ids that may not be chosen as this request's token `index`.
std::span<const token_id> sampler::masked(uint32_t index) const {
  if (index < params_.min_tokens) return stop_tokens_;
  if (params_.ignore_eos) return end_tokens_;
  return {};
}

void sampler::adjust(std::span<const token_id> history, uint32_t index) {
  std::vector<float>& logits = scratch_->logits;
  for (const auto& [id, bias] : params_.logit_bias) logits[id] += bias;
  const bool penalizes = params_.repetition_penalty != 1.0f || params_.frequency_penalty != 0 ||
                         params_.presence_penalty != 0;
  if (penalizes) {
    const auto window = static_cast<size_t>(params_.penalty_window);  // -1 becomes the largest
    penalize(history.last(std::min(window, history.size())));
  }
  for (token_id id : masked(index)) logits[id] = minus_infinity;
}

void sampler::penalize(std::span<const token_id> window) {
  std::vector<uint32_t>& counts = scratch_->counts;
  std::vector<token_id>& counted = scratch_->counted;
  counts.resize(n_vocab_);
  counted.clear();
  for (token_id id : window) {
    LLMOS_CHECK(id >= 0 && static_cast<uint32_t>(id) < n_vocab_);
    if (counts[id]++ == 0) counted.push_back(id);
  }
  for (token_id id : counted) {
    float& logit = scratch_->logits[id];
    const float penalty = params_.repetition_penalty;
    const float repeated = logit > 0 ? logit / penalty : logit * penalty;
    const float counted_off = static_cast<float>(counts[id]) * params_.frequency_penalty;
    logit = comparable(repeated - counted_off - params_.presence_penalty);
    counts[id] = 0;
  }
}

token_id sampler::choose(uint32_t index) {
  const std::vector<float>& logits = scratch_->logits;
  const float top = max_of(logits);
  if (top == minus_infinity) {
    const auto mask = masked(index);
    token_id id = 0;
    while (std::ranges::find(mask, id) != mask.end()) ++id;
    return static_cast<uint32_t>(id) < n_vocab_ ? id : 0;
  }
  if (params_.temperature > 0) return draw(index);
  return static_cast<token_id>(std::ranges::find(logits, top) - logits.begin());
}

token_id sampler::draw(uint32_t index) {
  std::vector<candidate>& candidates = scratch_->candidates;
  const auto top_k = static_cast<uint32_t>(params_.top_k);
  if (top_k > 0 && top_k < n_vocab_) {
    select_top(scratch_->logits, top_k, candidates);
  } else {
    select_possible(scratch_->logits, candidates);
  }
  std::span<candidate> left = candidates;
  if (params_.typical_p < 1) left = keep_typical(left, params_.typical_p);
  if (params_.top_p < 1) left = keep_top_mass(left, params_.top_p);
  if (params_.min_p > 0) left = keep_at_least(left, params_.min_p);
  const uint64_t total = weigh(left, params_.temperature);
  const float uniform = philox_uniform(*params_.seed, index, 0);
  const uint64_t target = share(uniform, total) + 1;
  return left[select_likeliest(left, target, params_.temperature) - 1].id;
}

}  // namespace llmos
