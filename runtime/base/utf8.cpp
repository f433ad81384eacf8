#include "runtime/base/utf8.hpp"

#include "runtime/gguf/printable.hpp"

namespace llmos {

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_char_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace llmos
