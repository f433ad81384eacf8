#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace llmos {

/// Bytes of the well-formed UTF-8 character at the start of `text` (1..4), or 0 when there is none.
/// Surrogates, overlong forms and values above U+10FFFF are not well-formed.
size_t utf8_char_length(std::string_view text);

/// Offset of the first byte that is no well-formed UTF-8 (Unicode, table 3-7), or nothing.
std::optional<size_t> first_invalid_utf8(std::string_view text);

}  // namespace llmos
