#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmos::jinja {

/// repr(x): the shortest digits that read back as x; always with a point, an exponent or a word.
std::string float_repr(double x);

/// int(s, base): sign, underscores, any script's digits, surrounding whitespace; base 2…36, or 0
/// and the prefixes 0b, 0o, 0x. Nothing where Python raises a ValueError. Throws unsupported when
/// the number needs more than 64 bits.
std::optional<int64_t> parse_integer(std::string_view s, int base = 10);

/// float(s), or nothing where Python raises a ValueError.
std::optional<double> parse_float(std::string_view s);

/// int(x) of a float. Throws for inf and nan, and unsupported beyond 64 bits.
int64_t truncate_to_integer(double x);

/// round(x, digits): to the nearest decimal, halves to even, on the exact value.
double round_half_even(double x, int64_t digits);
int64_t round_half_even(int64_t x, int64_t digits);

}  // namespace llmos::jinja
