#pragma once

#include <cstdint>
#include <span>

namespace llmos::jinja::tables {

/// Code points first, first + stride, … last.
struct code_point_run {
  uint32_t first, last, stride;
};

/// As above; each maps to itself plus delta.
struct case_run {
  uint32_t first, last, stride;
  int32_t delta;
};

/// A code point that changes into two or three.
struct case_expansion {
  uint32_t from;
  const char32_t* to;
};

struct case_table {
  std::span<const case_run> runs;
  std::span<const case_expansion> expansions;
};

/// All ascending, so that they can be searched by halves. `digit` is without the decimals,
/// `numeric` without decimals and digits, `titlecase` without what it shares with `uppercase`.
extern const std::span<const code_point_run> alpha, decimal, digit, numeric, lower, upper, title,
    case_ignorable, unprintable, space;
extern const case_table uppercase, lowercase, titlecase;

}  // namespace llmos::jinja::tables
