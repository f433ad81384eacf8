#include "runtime/sampling/params.hpp"

#include <cstdio>

#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

std::string to_text(float x) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", static_cast<double>(x));
  return buffer;
}

failure out_of_range(const std::string& field, const std::string& value, const std::string& range) {
  return {ec::invalid_argument, field + " is " + value + "; allowed: " + range,
          "choose a value in that range"};
}

/// An interval of floats with its text; NaN lies in none.
struct interval {
  float low;
  float high;
  bool without_low;
  const char* text;

  bool contains(float x) const { return (without_low ? x > low : x >= low) && x <= high; }
};

constexpr interval temperature_range{0, 100, false, "[0, 100]"};
constexpr interval mass_range{0, 1, true, "(0, 1]"};
constexpr interval min_p_range{0, 1, false, "[0, 1]"};
constexpr interval repetition_range{0, 10, true, "(0, 10]"};
constexpr interval penalty_range{-2, 2, false, "[-2, 2]"};
constexpr interval bias_range{-100, 100, false, "[-100, 100]"};

result<void> check(const std::string& field, float x, const interval& range) {
  if (range.contains(x)) return {};
  return out_of_range(field, to_text(x), range.text);
}

result<void> check(const std::string& field, int64_t x, int64_t low, int64_t high) {
  if (x >= low && x <= high) return {};
  std::string range = "[";
  range += std::to_string(low) + ", " + std::to_string(high) + "]";
  return out_of_range(field, std::to_string(x), range);
}

result<void> check_numbers(const sampling_params& p) {
  LLMOS_TRY_VOID(check("temperature", p.temperature, temperature_range));
  LLMOS_TRY_VOID(check("top_k", p.top_k, 0, INT32_MAX));
  LLMOS_TRY_VOID(check("top_p", p.top_p, mass_range));
  LLMOS_TRY_VOID(check("min_p", p.min_p, min_p_range));
  LLMOS_TRY_VOID(check("typical_p", p.typical_p, mass_range));
  LLMOS_TRY_VOID(check("repetition_penalty", p.repetition_penalty, repetition_range));
  LLMOS_TRY_VOID(check("frequency_penalty", p.frequency_penalty, penalty_range));
  LLMOS_TRY_VOID(check("presence_penalty", p.presence_penalty, penalty_range));
  LLMOS_TRY_VOID(check("penalty_window", p.penalty_window, -1, INT32_MAX));
  LLMOS_TRY_VOID(check("top_logprobs", p.top_logprobs, 0, 20));
  if (p.top_logprobs > 0 && !p.logprobs) {
    return failure{ec::invalid_argument,
                   "top_logprobs is " + std::to_string(p.top_logprobs) + " but logprobs is false",
                   "set logprobs to true, or leave top_logprobs out"};
  }
  return check("min_tokens", p.min_tokens, 0, p.max_tokens);
}

result<void> check_tokens(const sampling_params& p, uint32_t n_vocab) {
  const int64_t last = int64_t{n_vocab} - 1;
  for (const auto& [id, bias] : p.logit_bias) {
    LLMOS_TRY_VOID(check("token id in logit_bias", id, 0, last));
    LLMOS_TRY_VOID(check("logit_bias of token " + std::to_string(id), bias, bias_range));
  }
  LLMOS_TRY_VOID(check("number of stop_token_ids", std::ssize(p.stop_token_ids), 0, 64));
  for (token_id id : p.stop_token_ids) {
    LLMOS_TRY_VOID(check("token id in stop_token_ids", id, 0, last));
  }
  return {};
}

result<void> check_stop_strings(const sampling_params& p) {
  LLMOS_TRY_VOID(check("number of stop strings", std::ssize(p.stop), 0, 16));
  for (size_t i = 0; i < p.stop.size(); ++i) {
    LLMOS_TRY_VOID(
        check("bytes of stop string " + std::to_string(i), std::ssize(p.stop[i]), 1, 256));
  }
  return {};
}

}  // namespace

result<void> validate(const sampling_params& p, uint32_t n_vocab) {
  if (n_vocab > max_sampling_vocab) {
    return failure{ec::unsupported,
                   "a vocabulary of " + std::to_string(n_vocab) + " tokens; at most " +
                       std::to_string(max_sampling_vocab) + " can be sampled",
                   "use another model"};
  }
  LLMOS_TRY_VOID(check_numbers(p));
  LLMOS_TRY_VOID(check_tokens(p, n_vocab));
  return check_stop_strings(p);
}

}  // namespace llmos
