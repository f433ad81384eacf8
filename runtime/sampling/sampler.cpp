#include "runtime/sampling/sampler.hpp"

#include <algorithm>
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
  scratch_->passes.clean(logits.data(), n_vocab_, scratch_->logits.data());
  sampled_token out;
  const bool reports = params_.logprobs || params_.top_logprobs > 0;
  const double log_sum = reports ? log_sum_exp() : 0;
  if (params_.top_logprobs > 0) out.top = report_top(log_sum);
  adjust(history, index);
  out.id = choose(index);
  if (reports) out.logprob = logprob(comparable(logits[out.id]), log_sum);
  return out;
}

/// The largest of the logits.
float sampler::find_tops() {
  constexpr size_t stripe = column_lanes * column_rows;
  std::vector<float>& tops = scratch_->tops;
  tops.resize((n_vocab_ + stripe - 1) / stripe * column_lanes);
  scratch_->passes.find_tops(scratch_->logits.data(), n_vocab_, tops.data());
  return max_of(tops);
}

/// ln of the sum of e^logit; 0 when all are -infinity, so that their log-probabilities are, too.
/// Leaves all tokens selected.
double sampler::log_sum_exp() {
  const float top = find_tops();
  scratch_->tokens.start(scratch_->logits, top);
  if (top == minus_infinity) return 0;
  const uint64_t total = scratch_->tokens.weigh(1.0f);
  return static_cast<double>(top) + std::log(static_cast<double>(total) * 0x1p-40);
}

std::vector<token_logprob> sampler::report_top(double log_sum) {
  selection& tokens = scratch_->tokens;
  tokens.keep_likeliest(params_.top_logprobs, scratch_->tops);
  std::vector<token_logprob> out;
  out.reserve(tokens.logits().size());
  for (size_t i = 0; i < tokens.logits().size(); ++i) {
    out.push_back({tokens.id_of(i), logprob(tokens.logits()[i], log_sum)});
  }
  // Logits that differ may round to one log-probability.
  std::ranges::sort(out, [](const token_logprob& a, const token_logprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
  });
  return out;
}

bool sampler::has_choice() const {
  const auto most_masked = std::max(params_.ignore_eos ? end_tokens_.size() : 0,
                                    params_.min_tokens > 0 ? stop_tokens_.size() : 0);
  const auto window = penalizes() ? static_cast<size_t>(params_.penalty_window) : 0;
  return !params_.logprobs && params_.top_logprobs == 0 && params_.typical_p >= 1 &&
         most_masked <= token_choice::max_masked && window <= token_choice::max_adjustments &&
         window + params_.logit_bias.size() <= token_choice::max_adjustments;
}

token_choice sampler::choice(std::span<const token_id> history, uint32_t index, token_id pending,
                             std::vector<token_adjustment>& adjustments) {
  const auto mask = masked(index);
  token_choice out{.temperature = params_.temperature,
                   .top_k = static_cast<uint32_t>(params_.top_k),
                   .top_p = params_.top_p,
                   .min_p = params_.min_p,
                   .num_masked = static_cast<uint32_t>(mask.size()),
                   .first_adjustment = static_cast<uint32_t>(adjustments.size())};
  if (params_.temperature > 0) out.uniform = philox_uniform(*params_.seed, index, 0);
  std::ranges::copy(mask, out.masked);
  if (penalizes()) {
    out.repetition_penalty = params_.repetition_penalty;
    out.frequency_penalty = params_.frequency_penalty;
    out.presence_penalty = params_.presence_penalty;
    if (params_.penalty_window != 0) out.pending = pending;
  }
  list_adjustments(window_of(history, pending != 0 ? 1 : 0), adjustments);
  out.num_adjustments = static_cast<uint32_t>(adjustments.size()) - out.first_adjustment;
  return out;
}

/// Each biased token and each of the window, once.
void sampler::list_adjustments(std::span<const token_id> window,
                               std::vector<token_adjustment>& out) {
  count(window);
  std::vector<uint32_t>& counts = scratch_->counts;
  for (const auto& [id, bias] : params_.logit_bias) {
    out.push_back({id, std::exchange(counts[id], 0), bias});
  }
  for (const token_id id : scratch_->counted) {
    if (counts[id] > 0) out.push_back({id, std::exchange(counts[id], 0), 0});
  }
}

bool sampler::penalizes() const {
  return params_.repetition_penalty != 1.0f || params_.frequency_penalty != 0 ||
         params_.presence_penalty != 0;
}

/// The ids that may not be chosen as this request's token `index`.
std::span<const token_id> sampler::masked(uint32_t index) const {
  if (index < params_.min_tokens) return stop_tokens_;
  if (params_.ignore_eos) return end_tokens_;
  return {};
}

/// What the penalties see of the history, `num_behind` tokens behind it being of their window too.
std::span<const token_id> sampler::window_of(std::span<const token_id> history,
                                             size_t num_behind) const {
  if (!penalizes()) return {};
  const auto window = static_cast<size_t>(params_.penalty_window);  // -1 becomes the largest
  return history.last(std::min(window - std::min(window, num_behind), history.size()));
}

void sampler::adjust(std::span<const token_id> history, uint32_t index) {
  std::vector<float>& logits = scratch_->logits;
  for (const auto& [id, bias] : params_.logit_bias) logits[id] += bias;
  penalize(window_of(history, 0));
  for (token_id id : masked(index)) logits[id] = minus_infinity;
}

void sampler::count(std::span<const token_id> window) {
  std::vector<uint32_t>& counts = scratch_->counts;
  std::vector<token_id>& counted = scratch_->counted;
  counts.resize(n_vocab_);
  counted.reserve(n_vocab_);
  counted.clear();
  for (token_id id : window) {
    LLMOS_CHECK(id >= 0 && static_cast<uint32_t>(id) < n_vocab_);
    if (counts[id]++ == 0) counted.push_back(id);
  }
}

void sampler::penalize(std::span<const token_id> window) {
  if (window.empty()) return;
  count(window);
  for (token_id id : scratch_->counted) {
    float& logit = scratch_->logits[id];
    const float penalty = params_.repetition_penalty;
    const float repeated = logit > 0 ? logit / penalty : logit * penalty;
    const float counted_off = static_cast<float>(scratch_->counts[id]) * params_.frequency_penalty;
    logit = comparable(repeated - counted_off - params_.presence_penalty);
    scratch_->counts[id] = 0;
  }
}

token_id sampler::choose(uint32_t index) {
  const float top = find_tops();
  if (top == minus_infinity) return first_possible(index);
  return params_.temperature > 0 ? draw(top, index) : first_at(top);
}

/// The lowest id outside the mask; 0 when all are masked.
token_id sampler::first_possible(uint32_t index) const {
  const auto mask = masked(index);
  token_id id = 0;
  while (std::ranges::find(mask, id) != mask.end()) ++id;
  return static_cast<uint32_t>(id) < n_vocab_ ? id : 0;
}

/// The lowest id whose logit is `top`, the largest.
token_id sampler::first_at(float top) const {
  const auto column = std::ranges::find(scratch_->tops, top) - scratch_->tops.begin();
  const auto stripe = static_cast<size_t>(column) / column_lanes;
  const auto logits = std::span(scratch_->logits).subspan(stripe * column_lanes * column_rows);
  const auto place = std::ranges::find(logits, top) - logits.begin();
  return static_cast<token_id>(stripe * column_lanes * column_rows + static_cast<size_t>(place));
}

token_id sampler::draw(float top, uint32_t index) {
  selection& tokens = scratch_->tokens;
  tokens.start(scratch_->logits, top);
  const auto top_k = static_cast<uint32_t>(params_.top_k);
  if (top_k > 0 && top_k < n_vocab_) tokens.keep_likeliest(top_k, scratch_->tops);
  if (params_.typical_p < 1) tokens.keep_typical(params_.typical_p);
  if (params_.top_p < 1) tokens.keep_top_mass(params_.top_p);
  if (params_.min_p > 0) tokens.keep_at_least(params_.min_p);
  return tokens.draw(philox_uniform(*params_.seed, index, 0), params_.temperature);
}

}  // namespace llmos
