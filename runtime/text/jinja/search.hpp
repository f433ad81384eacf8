#pragma once

#include <cstddef>
#include <string_view>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

// Searches of bytes whose time is linear in both texts, counted on the machine: what the standard
// library offers takes the product of both for texts like "aaaa…" and "aaa…b".

/// Offset of the first `what` in `where`, npos if there is none.
size_t find_text(machine& m, std::string_view where, std::string_view what);
/// Offset of the last one.
size_t find_last_text(machine& m, std::string_view where, std::string_view what);

}  // namespace llmos::jinja
