#include "runtime/jobs/substitute.hpp"

#include <vector>

#include "runtime/base/nearest.hpp"
#include "runtime/config/yaml.hpp"

namespace llmos {

namespace {

std::string_view trim(std::string_view x) {
  constexpr std::string_view blank = " \t\r\n";
  const auto begin = x.find_first_not_of(blank);
  if (begin == x.npos) return {};
  return x.substr(begin, x.find_last_not_of(blank) - begin + 1);
}

failure unknown_variable(std::string_view name, const variable_map& values) {
  std::vector<std::string> names;
  std::string known;
  for (const auto& [key, value] : values) {
    names.push_back(key);
    known += (known.empty() ? "" : ", ") + key;
  }
  const auto near = nearest_name(name, names);
  return {ec::invalid_argument, "unknown variable " + quote_short(name),
          near            ? "did you mean " + *near + "?"
          : known.empty() ? "no variables are given here; {{ \"{{\" }} writes two braces"
                          : "known: " + known};
}

/// Where the braces opened before `from` close, a quoted text between them skipped.
size_t find_close(std::string_view text, size_t from) {
  const auto first = text.find_first_not_of(" \t", from);
  if (first != text.npos && (text[first] == '"' || text[first] == '\'')) {
    const auto quote_end = text.find(text[first], first + 1);
    if (quote_end != text.npos) return text.find("}}", quote_end + 1);
  }
  return text.find("}}", from);
}

bool is_quoted(std::string_view inner) {
  return inner.size() >= 2 && (inner[0] == '"' || inner[0] == '\'') &&
         inner.find(inner[0], 1) == inner.size() - 1;
}

/// What stands between the braces, looked up.
result<std::string> value_of(std::string_view inner, const variable_map& values) {
  if (is_quoted(inner)) return std::string{inner.substr(1, inner.size() - 2)};
  LLMOS_TRY(const auto* value, find_variable(inner, values));
  return text_of(*value);
}

}  // namespace

std::string text_of(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::optional<std::string> lone_variable(std::string_view text) {
  if (!text.starts_with("{{")) return std::nullopt;
  const auto close = find_close(text, 2);
  if (close == text.npos || close + 2 != text.size()) return std::nullopt;
  const auto inner = trim(text.substr(2, close - 2));
  if (is_quoted(inner)) return std::nullopt;
  return std::string{inner};
}

result<const nlohmann::ordered_json*> find_variable(std::string_view name,
                                                    const variable_map& values) {
  const auto it = values.find(std::string{name});
  if (it == values.end()) return unknown_variable(name, values);
  return &it->second;
}

result<std::string> substitute(std::string_view text, const variable_map& values) {
  std::string out;
  for (size_t at = 0;;) {
    const auto open = text.find("{{", at);
    out += text.substr(at, open - at);
    if (open == text.npos) return out;
    const auto close = find_close(text, open + 2);
    if (close == text.npos) {
      return failure{ec::invalid_argument, "{{ without }}: " + quote_short(text.substr(open, 20)),
                     "close it, or write two braces as {{ \"{{\" }}"};
    }
    LLMOS_TRY(const std::string value,
              value_of(trim(text.substr(open + 2, close - open - 2)), values));
    out += value;
    at = close + 2;
  }
}

}  // namespace llmos
