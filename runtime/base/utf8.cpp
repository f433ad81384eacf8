#include "runtime/base/utf8.hpp"

#include <cstdint>

namespace llmos {

namespace {

bool is_continuation(std::string_view text, size_t i) {
  return i < text.size() && (static_cast<uint8_t>(text[i]) & 0xc0) == 0x80;
}

/// Whether a well-formed character that begins with `first` may go on with `second`.
bool second_byte_fits(uint8_t first, uint8_t second) {
  switch (first) {
    case 0xe0: return second >= 0xa0;  // below: overlong
    case 0xed: return second <= 0x9f;  // above: surrogates
    case 0xf0: return second >= 0x90;  // below: overlong
    case 0xf4: return second <= 0x8f;  // above: past U+10FFFF
    default: return true;
  }
}

}  // namespace

size_t utf8_char_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < n; ++i) {
    if (!is_continuation(text, i)) return 0;
  }
  return second_byte_fits(first, static_cast<uint8_t>(text[1])) ? n : 0;
}

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_char_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace llmos
