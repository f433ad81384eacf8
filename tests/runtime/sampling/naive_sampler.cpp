#include "tests/runtime/sampling/naive_sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "runtime/sampling/weights.hpp"

namespace llmos::test {

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

struct item {
  float logit;
  token_id id;
  uint64_t weight = 0;
};

float clean(float x) {
  if (std::isnan(x)) return -inf;
  return x == inf ? std::numeric_limits<float>::max() : x;
}

/// Sorts by (logit, id) and sets the weights; returns their sum.
uint64_t softmax(std::vector<item>& items, float temperature) {
  std::sort(items.begin(), items.end(), [](const item& a, const item& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  uint64_t total = 0;
  for (item& x : items) {
    std::array<float, 1> e{(x.logit - items[0].logit) / temperature};
    exp_nonpositive(e);
    x.weight = to_weight(e[0]);
    total += x.weight;
  }
  return total;
}

std::vector<float> adjusted(const sampling_params& p, const std::set<token_id>& masked,
                            std::span<const float> logits, std::span<const token_id> history) {
  std::vector<float> out;
  const size_t window = p.penalty_window < 0
                            ? history.size()
                            : std::min(history.size(), static_cast<size_t>(p.penalty_window));
  std::map<token_id, int> times;
  for (token_id id : history.last(window)) ++times[id];
  for (token_id id = 0; id < std::ssize(logits); ++id) {
    float x = clean(logits[id]);
    if (p.logit_bias.contains(id)) x = clean(x + p.logit_bias.at(id));
    const auto seen = times.contains(id) ? times.at(id) : 0;
    if (seen > 0) {
      x = x > 0 ? x / p.repetition_penalty : x * p.repetition_penalty;
      x = clean(x - float(seen) * p.frequency_penalty - p.presence_penalty);
    }
    out.push_back(masked.contains(id) ? -inf : x);
  }
  return out;
}

void keep_typical(std::vector<item>& items, float p) {
  const uint64_t total = softmax(items, 1);
  const double top = items[0].logit;
  uint64_t sum = 0;
  for (const item& x : items) {
    if (x.weight) sum += uint64_t(double(x.weight) * (top - double(x.logit)));
  }
  const double mean = double(sum) / double(total);
  std::stable_sort(items.begin(), items.end(), [&](const item& a, const item& b) {
    return std::abs(top - double(a.logit) - mean) < std::abs(top - double(b.logit) - mean);
  });
  const auto limit = uint64_t(double(p) * double(total));
  size_t n = 0;
  for (uint64_t mass = 0; mass <= limit; ++n) mass += items[n].weight;
  items.resize(n);
}

void keep_top_mass(std::vector<item>& items, float p) {
  const double target = std::ceil(double(p) * double(softmax(items, 1)));
  size_t n = 0;
  for (uint64_t mass = 0; mass < uint64_t(target); ++n) mass += items[n].weight;
  items.resize(n);
}

std::vector<item> possible(std::span<const float> scores) {
  std::vector<item> out;
  for (token_id id = 0; id < std::ssize(scores); ++id) {
    if (scores[id] > -inf) out.push_back({scores[id], id});
  }
  return out;
}

token_id choose(const sampling_params& p, const std::set<token_id>& masked,
                std::span<const float> scores, uint32_t index) {
  std::vector<item> items = possible(scores);
  if (items.empty()) {
    for (token_id id = 0; id < std::ssize(scores); ++id) {
      if (!masked.contains(id)) return id;
    }
    return 0;
  }
  softmax(items, 1);
  if (p.temperature == 0) return items[0].id;
  if (p.top_k > 0 && size_t(p.top_k) < items.size()) items.resize(p.top_k);
  if (p.typical_p < 1) keep_typical(items, p.typical_p);
  if (p.top_p < 1) keep_top_mass(items, p.top_p);
  if (p.min_p > 0) {
    softmax(items, 1);
    std::erase_if(items,
                  [&](const item& x) { return double(x.weight) < double(p.min_p) * 0x1p40; });
  }
  const uint64_t total = softmax(items, p.temperature);
  const auto limit = uint64_t(double(philox_uniform(*p.seed, index, 0)) * double(total));
  size_t n = 0;
  for (uint64_t mass = 0; mass <= limit; ++n) mass += items[n].weight;
  return items[n - 1].id;
}

/// Sets the log-probabilities, of the logits as they came.
void report(const sampling_params& p, std::span<const float> logits, sampled_token& out) {
  std::vector<float> cleaned;
  for (float x : logits) cleaned.push_back(clean(x));
  std::vector<item> items = possible(cleaned);
  const double total = items.empty() ? 0 : double(softmax(items, 1));
  const double log_sum = items.empty() ? 0 : double(items[0].logit) + std::log(total * 0x1p-40);
  out.logprob = float(double(cleaned[out.id]) - log_sum);
  items.resize(std::min<size_t>(items.size(), p.top_logprobs));
  for (const item& x : items) out.top.push_back({x.id, float(double(x.logit) - log_sum)});
  std::stable_sort(out.top.begin(), out.top.end(), [](const auto& a, const auto& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  });
}

}  // namespace

sampled_token naive_sample(const sampling_params& p, std::span<const token_id> end_tokens,
                           std::span<const float> logits, std::span<const token_id> history,
                           uint32_t index) {
  std::set<token_id> masked;
  if (p.ignore_eos || index < p.min_tokens) masked.insert(end_tokens.begin(), end_tokens.end());
  if (index < p.min_tokens) masked.insert(p.stop_token_ids.begin(), p.stop_token_ids.end());
  sampled_token out;
  out.id = choose(p, masked, adjusted(p, masked, logits, history), index);
  if (p.logprobs || p.top_logprobs > 0) report(p, logits, out);
  return out;
}

}  // namespace llmos::test
