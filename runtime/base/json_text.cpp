#include "runtime/base/json_text.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace llmos {

namespace {

failure error_at(std::string_view text, size_t offset, const std::string& name, uint32_t first_line,
                 const std::string& what) {
  const auto before = text.substr(0, std::min(offset, text.size()));
  const auto line = first_line + std::count(before.begin(), before.end(), '\n');
  const auto line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return {ec::bad_file,
          name + ":" + std::to_string(line) + ":" + std::to_string(before.size() - line_start + 1) +
              ": " + what,
          "check quotes, commas and brackets there"};
}

/// Where the nesting passes the limit, or npos; strings are skipped.
size_t find_too_deep(std::string_view text) {
  uint32_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_json_depth) return i;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return text.npos;
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
  }
}

}  // namespace llmos
