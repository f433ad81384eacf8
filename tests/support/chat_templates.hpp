#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.hpp"

namespace llmos::test {

/// Renders a template over no messages and the variables of `extra`.
inline result<std::string> render(
    const std::string& source,
    const nlohmann::ordered_json& extra = nlohmann::ordered_json::object(),
    const template_limits& limits = {}) {
  const auto parsed = chat_template::parse(source);
  if (!parsed) return parsed.error();
  const auto messages = nlohmann::ordered_json::array();
  template_input input;
  input.messages = &messages;
  input.extra = &extra;
  return parsed.value().render(input, limits);
}

inline std::string repeat(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

}  // namespace llmos::test
