#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llmos::jinja {

/// Number of code points. REQUIRES: valid UTF-8, as everywhere below.
size_t count_code_points(std::string_view s);

/// Decodes the code point at `pos` and moves `pos` behind it.
char32_t next_code_point(std::string_view s, size_t& pos);
/// Decodes the code point before `pos` and moves `pos` to it. REQUIRES: pos > 0.
char32_t previous_code_point(std::string_view s, size_t& pos);
void append_utf8(std::string& out, char32_t c);
/// Appends the last `digits` hexadecimal digits of x.
void append_hex(std::string& out, uint32_t x, int digits);

std::u32string decode(std::string_view s);
/// The text, or its beginning and an ellipsis if it is longer than `max` bytes.
std::string shortened(std::string_view s, size_t max);
/// The text with U+FFFD for every ill-formed sequence of bytes.
std::string repair_utf8(std::string_view s);

/// What Python's str methods of these names say of one character.
bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_alnum(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
/// The value 0…9 of a decimal digit of any script. REQUIRES: is_decimal(c).
int decimal_value(char32_t c);

/// Python's str.upper, lower, capitalize, title, swapcase: full mappings, final sigma included.
std::string to_upper(std::string_view s);
std::string to_lower(std::string_view s);
std::string to_capitalized(std::string_view s);
std::string to_title(std::string_view s);
std::string to_swapped_case(std::string_view s);

/// Some characters.
class character_set {
public:
  explicit character_set(std::string_view chars);
  bool contains(char32_t c) const;

private:
  std::array<bool, 128> ascii_{};
  std::u32string others_;  // ascending
};

/// str.strip and its halves: without the characters of `chars`, by default whitespace.
std::string_view strip_left(std::string_view s);
std::string_view strip_right(std::string_view s);
std::string_view strip_left(std::string_view s, const character_set& chars);
std::string_view strip_right(std::string_view s, const character_set& chars);

}  // namespace llmos::jinja
