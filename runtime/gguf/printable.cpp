#include "runtime/gguf/printable.hpp"

#include <cstdint>

namespace llmos {

namespace {

constexpr std::string_view ellipsis = "…";

bool is_continuation(std::string_view text, size_t i) {
  return i < text.size() && (static_cast<uint8_t>(text[i]) & 0xc0) == 0x80;
}

/// The smallest and largest second byte that may follow `first` in a well-formed character.
bool second_byte_fits(uint8_t first, uint8_t second) {
  switch (first) {
    case 0xe0: return second >= 0xa0;  // below: overlong
    case 0xed: return second <= 0x9f;  // above: surrogates
    case 0xf0: return second >= 0x90;  // below: overlong
    case 0xf4: return second <= 0x8f;  // above: past U+10FFFF
    default: return true;
  }
}

/// ASCII and C1 control characters, which a terminal may obey, and the escape character itself.
bool needs_escape(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f || first == '\\';
  return first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
}

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 0xf]};
    }
  }
}

/// Walks `text` character by character (`bad` for a byte that is none) up to about `max_bytes`.
template <class OnCharacter, class OnBadByte>
void walk(std::string_view text, size_t max_bytes, std::string& out, OnCharacter on_character,
          OnBadByte on_bad_byte) {
  for (size_t i = 0; i < text.size();) {
    if (i >= max_bytes) {
      out += ellipsis;
      return;
    }
    const size_t n = utf8_char_length(text.substr(i));
    if (n != 0) {
      on_character(text.substr(i, n));
    } else {
      on_bad_byte(text.substr(i, 1));
    }
    i += n != 0 ? n : 1;
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

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  auto on_character = [&](std::string_view c) {
    if (needs_escape(c)) {
      append_escaped(out, c);
    } else {
      out += c;
    }
  };
  walk(text, max_bytes, out, on_character, [&](std::string_view bad) { append_escaped(out, bad); });
  return out;
}

std::string valid_utf8(std::string_view text, size_t max_bytes) {
  std::string out;
  walk(
      text, max_bytes, out, [&](std::string_view c) { out += c; },
      [&](std::string_view) { out += "\xef\xbf\xbd"; });
  return out;
}

}  // namespace llmos
