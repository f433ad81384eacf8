#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// Positions that x[start:stop:step] selects from a sequence: `first`, `first + step`, … `count` of
/// them.
struct slice_range {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

/// Python's rules for missing, negative and far-out bounds. Throws if step is 0.
slice_range resolve_slice(int64_t length, std::optional<int64_t> start, std::optional<int64_t> stop,
                          std::optional<int64_t> step);

/// Byte offset of code point `index`, walked to from the nearer end. REQUIRES: index <= s.length.
size_t byte_offset(machine& m, const text& s, size_t index);
/// Code points before the byte offset.
size_t code_point_index(machine& m, const text& s, size_t offset);

/// The byte range [from, to) of s[start:stop], from None, ints or nothing. When `start` is past the
/// end, from > to: Python finds nothing there, not even the empty str.
std::pair<size_t, size_t> byte_range(machine& m, const text& s, const value* start,
                                     const value* stop);

}  // namespace llmos::jinja
