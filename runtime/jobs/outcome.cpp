#include "runtime/jobs/outcome.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace llmos {

namespace {

/// Microseconds as milliseconds with one decimal.
double to_ms(uint64_t us) {
  return std::round(static_cast<double>(us) / 100) / 10;
}

}  // namespace

nlohmann::ordered_json to_json(const generation_usage& x) {
  return {{"prompt_tokens", x.prompt_tokens},
          {"cached_tokens", x.cached_tokens},
          {"completion_tokens", x.completion_tokens},
          {"total_tokens", uint64_t{x.prompt_tokens} + x.completion_tokens},
          {"first_token_ms", to_ms(x.first_token_us)},
          {"total_ms", to_ms(x.total_us)},
          {"decode_tokens_per_s", std::round(x.decode_tokens_per_s() * 10) / 10}};
}

nlohmann::ordered_json to_json(const failure& x) {
  return {{"code", to_string(x.code)}, {"text", x.text}, {"hint", x.hint}};
}

nlohmann::ordered_json logprobs_json(const std::vector<sampled_token>& tokens) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& t : tokens) {
    auto top = nlohmann::ordered_json::array();
    for (const auto& x : t.top) top.push_back({{"id", x.id}, {"logprob", x.logprob}});
    out.push_back({{"id", t.id}, {"logprob", t.logprob}, {"top", std::move(top)}});
  }
  return out;
}

std::string to_line(const nlohmann::ordered_json& x) {
  return x.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace llmos
