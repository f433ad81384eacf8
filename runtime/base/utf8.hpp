#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace llmos {

/// Offset of the first byte that is no well-formed UTF-8 (Unicode, table 3-7), or nothing.
std::optional<size_t> first_invalid_utf8(std::string_view text);

}  // namespace llmos
