#include "runtime/base/json_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace llmos {

namespace {

failure error_at(std::string_view text, size_t offset, const std::string& name, uint32_t first_line,
                 const std::string& what,
                 const char* hint = "check quotes, commas and brackets there") {
  const auto before = text.substr(0, std::min(offset, text.size()));
  const auto line = first_line + std::count(before.begin(), before.end(), '\n');
  const auto line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return {ec::bad_file,
          name + ":" + std::to_string(line) + ":" + std::to_string(before.size() - line_start + 1) +
              ": " + what,
          hint};
}

/// The first place outside of strings where `is_wanted(i)` holds, or npos.
template <class IsWanted>
size_t find_outside_strings(std::string_view text, IsWanted is_wanted) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (is_wanted(i)) {
      return i;
    }
  }
  return text.npos;
}

/// Where the nesting passes the limit, or npos.
size_t find_too_deep(std::string_view text) {
  uint32_t depth = 0;
  return find_outside_strings(text, [&](size_t i) {
    if (text[i] == '[' || text[i] == '{') return ++depth > max_json_depth;
    if ((text[i] == ']' || text[i] == '}') && depth > 0) --depth;
    return false;
  });
}

/// Where a number starts that no double holds, or npos.
size_t find_too_large(std::string_view text) {
  constexpr std::string_view in_numbers = "+-.0123456789eE";
  size_t next = 0;  // behind the last number that was looked at
  return find_outside_strings(text, [&](size_t i) {
    if (i < next || (text[i] != '-' && (text[i] < '0' || text[i] > '9'))) return false;
    next = std::min(text.find_first_not_of(in_numbers, i), text.size());
    return !std::isfinite(std::strtod(std::string{text.substr(i, next - i)}.c_str(), nullptr));
  });
}

}  // namespace

result<nlohmann::ordered_json> parse_json(std::string_view text, const std::string& name,
                                          uint32_t first_line) {
  if (const auto deep = find_too_deep(text); deep != text.npos) {
    return error_at(text, deep, name, first_line,
                    "nested deeper than " + std::to_string(max_json_depth) + " levels");
  }
  try {  // the one way to learn where the library stopped
    return nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    return error_at(text, e.byte == 0 ? 0 : e.byte - 1, name, first_line, "no valid JSON");
  } catch (const nlohmann::json::out_of_range&) {  // it does not say where
    return error_at(text, find_too_large(text), name, first_line,
                    "a number too large for a 64-bit float", "write a smaller number, or a string");
  }
}

}  // namespace llmos
