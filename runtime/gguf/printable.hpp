#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace llmos {

/// `text` for one line of a terminal or an error: control characters and bytes that are no UTF-8
/// become escapes (`\n`, `\x1b`, a backslash `\\`), so that different texts stay different; from
/// about `max_bytes` on it is cut with "…".
std::string printable(std::string_view text, size_t max_bytes);

/// `text` with every byte that is no UTF-8 replaced by U+FFFD, cut as `printable` does.
std::string valid_utf8(std::string_view text, size_t max_bytes);

}  // namespace llmos
