#include "runtime/gguf/printable.hpp"

#include <cstdint>

#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

constexpr std::string_view ellipsis = "…";

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
