#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace llmos::openai {

/// Follows one JSON object or array byte by byte and says as soon as it is complete, or can no
/// longer become one. Escapes, numbers and words are looked at roughly: who wants more parses what
/// is complete. Work per byte and memory per value are constant.
class json_scanner {
public:
  enum class status : uint8_t { open, complete, broken };

  /// REQUIRES: the status before was open.
  status push(char c);

  /// Part [begin, end) of what was pushed.
  struct span {
    size_t begin = 0, end = 0;
    std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
  };
  /// What stands in the outermost object or array. Keys have their quotes; arrays have none.
  struct item {
    span key, value;
  };
  const std::vector<item>& items() const { return items_; }

private:
  enum class expect : uint8_t {
    container,    // the first byte of all
    value,        // behind a comma or colon
    first_value,  // or the end of an empty array
    key,
    first_key,  // or the end of an empty object
    colon,
    next,  // comma, or the end of what is open
    text,
    word,  // within a number, true, false or null
  };

  status start(char c);
  status start_value(char c);
  status start_key(char c);
  status within_text(char c);
  status next(char c);
  status open(char c);
  status close(char c);
  void end_value(size_t at);

  std::vector<char> open_;  // '{' or '['
  std::vector<item> items_;
  expect expect_ = expect::container;
  bool is_key_ = false, is_escaped_ = false;
  size_t at_ = 0;
};

}  // namespace llmos::openai
