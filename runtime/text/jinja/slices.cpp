#include "runtime/text/jinja/slices.hpp"

#include <algorithm>

#include "runtime/text/jinja/arguments.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

/// A bound counted from the end if negative, cut to [low, high].
int64_t place(int64_t bound, int64_t length, int64_t low, int64_t high) {
  return std::clamp(bound < 0 ? bound + length : bound, low, high);
}

}  // namespace

slice_range resolve_slice(int64_t length, std::optional<int64_t> start, std::optional<int64_t> stop,
                          std::optional<int64_t> step_or_none) {
  const int64_t step = step_or_none.value_or(1);
  if (step == 0) fail("a slice's step is 0");
  if (step > 0) {
    const int64_t from = place(start.value_or(0), length, 0, length);
    const int64_t to = place(stop.value_or(length), length, 0, length);
    return {from, step, from < to ? (to - from - 1) / step + 1 : 0};
  }
  const int64_t from = start ? place(*start, length, -1, length - 1) : length - 1;
  const int64_t to = stop ? place(*stop, length, -1, length - 1) : -1;
  // -(step + 1) + 1 without overflow at INT64_MIN: a stride past any length gives one item.
  const int64_t stride = step == INT64_MIN ? INT64_MAX : -step;
  return {from, step, from > to ? (from - to - 1) / stride + 1 : 0};
}

size_t byte_offset(machine& m, const text& s, size_t index) {
  if (s.is_ascii()) return index;
  if (index <= s.length / 2) {
    size_t pos = 0;
    for (size_t i = 0; i < index; ++i) next_code_point(s.bytes, pos);
    m.scan(pos);
    return pos;
  }
  size_t pos = s.bytes.size();
  for (size_t i = s.length; i > index; --i) previous_code_point(s.bytes, pos);
  m.scan(s.bytes.size() - pos);
  return pos;
}

size_t code_point_index(machine& m, const text& s, size_t offset) {
  if (s.is_ascii()) return offset;
  m.search(offset);
  return count_code_points(std::string_view(s.bytes).substr(0, offset));
}

std::pair<size_t, size_t> byte_range(machine& m, const text& s, const value* start,
                                     const value* stop) {
  const auto length = static_cast<int64_t>(s.length);
  const auto bound = [&](const value* x, int64_t otherwise) {
    const bool is_given = x != nullptr && !x->is_none();
    return is_given ? require_integer(*x, "a position in a str") : otherwise;
  };
  const int64_t from = bound(start, 0);
  const auto to = static_cast<size_t>(place(bound(stop, length), length, 0, length));
  if (from > length) return {s.bytes.size() + 1, s.bytes.size()};
  const auto begin = static_cast<size_t>(place(from, length, 0, length));
  return {byte_offset(m, s, begin), byte_offset(m, s, to)};
}

}  // namespace llmos::jinja
