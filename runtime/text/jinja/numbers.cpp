#include "runtime/text/jinja/numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

/// ASCII digits for the digits of any script, stripped; nothing if other non-ASCII is in it.
std::optional<std::string> to_ascii_number(std::string_view s) {
  s = strip_right(strip_left(s));
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = next_code_point(s, pos);
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (is_decimal(c)) {
      out += static_cast<char>('0' + decimal_value(c));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

/// Base of a prefix 0b, 0o or 0x; 0 if there is none.
int prefix_base(std::string_view s) {
  if (s.size() < 2 || s[0] != '0') return 0;
  switch (s[1] | 0x20) {
    case 'b': return 2;
    case 'o': return 8;
    case 'x': return 16;
    default: return 0;
  }
}

/// Removes the underscores that Python allows: single ones between digits, or after a prefix.
bool drop_underscores(std::string& s, bool may_lead) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') continue;
    const bool after_digit = i > 0 ? digit_value(s[i - 1]) < 36 : may_lead;
    const bool before_digit = i + 1 < s.size() && digit_value(s[i + 1]) < 36;
    if (!after_digit || !before_digit) return false;
  }
  std::erase(s, '_');
  return true;
}

/// The decimal digits of |x| rounded at 10^places, half to even; x has no fraction.
std::string round_integer_digits(std::string digits, size_t places) {
  if (digits.size() < places) return "0";
  const size_t keep = digits.size() - places;
  const std::string rest = digits.substr(keep);
  std::string out = "0" + digits.substr(0, keep);
  const std::string half = "5" + std::string(places - 1, '0');
  const bool is_odd = (out.back() - '0') % 2 == 1;
  if (rest > half || (rest == half && is_odd)) {
    size_t i = out.size() - 1;
    for (; out[i] == '9'; --i) out[i] = '0';
    ++out[i];
  }
  return out + std::string(places, '0');
}

}  // namespace

std::string float_repr(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific);
  const std::string_view s(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = s.find('e');
  const int exponent = std::atoi(std::string(s.substr(e + 1)).c_str());
  std::string digits(s.substr(0, e));
  const std::string sign = digits[0] == '-' ? "-" : "";
  digits.erase(0, sign.size());
  std::erase(digits, '.');
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (n > 1) digits.insert(1, ".");
    std::snprintf(buffer, sizeof buffer, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return sign + digits + buffer;
  }
  if (exponent < 0) return sign + "0." + std::string(-exponent - 1, '0') + digits;
  if (n <= exponent + 1) return sign + digits + std::string(exponent + 1 - n, '0') + ".0";
  return sign + digits.insert(exponent + 1, ".");
}

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  auto ascii = to_ascii_number(text);
  if (!ascii) return std::nullopt;
  std::string s = *std::move(ascii);
  const bool is_negative = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.erase(0, 1);
  const int prefix = prefix_base(s);
  const bool has_prefix = prefix != 0 && (base == 0 || base == prefix);
  if (has_prefix) {
    s.erase(0, 2);
    base = prefix;
  }
  if (!drop_underscores(s, has_prefix) || s.empty()) return std::nullopt;
  if (base == 0) {
    base = 10;
    const bool is_zero = s.find_first_not_of('0') == std::string::npos;
    if (s[0] == '0' && !is_zero) return std::nullopt;
  }
  int64_t out = 0;
  bool fits = true;
  for (const char c : s) {
    const int d = digit_value(c);
    if (d >= base) return std::nullopt;
    fits = fits && !__builtin_mul_overflow(out, base, &out) &&
           !__builtin_sub_overflow(out, d, &out);  // downwards: -2^63 has no positive twin
  }
  if (!is_negative) fits = fits && !__builtin_sub_overflow(int64_t{0}, out, &out);
  if (!fits) fail_unsupported("the integer " + std::string(text) + ": it needs more than 64 bits");
  return out;
}

std::optional<double> parse_float(std::string_view text) {
  auto ascii = to_ascii_number(text);
  if (!ascii) return std::nullopt;
  std::string s = *std::move(ascii);
  // Python allows underscores between digits only, and no hexadecimal floats.
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') continue;
    const auto is_digit_at = [&](size_t k) { return k < s.size() && s[k] >= '0' && s[k] <= '9'; };
    if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) return std::nullopt;
  }
  std::erase(s, '_');
  const char* begin = s.c_str();
  const char* end = begin + s.size();
  if (begin != end && *begin == '+') ++begin;
  if (begin == end || (begin != s.c_str() && *begin == '-')) return std::nullopt;
  if (s.find_first_of("()") != std::string::npos) return std::nullopt;  // nan(…)
  double out = 0;
  const auto got = std::from_chars(begin, end, out);
  if (got.ptr != end) return std::nullopt;
  if (got.ec == std::errc::result_out_of_range) return std::strtod(begin, nullptr);
  if (got.ec != std::errc()) return std::nullopt;
  return out;
}

int64_t truncate_to_integer(double x) {
  if (std::isnan(x) || std::isinf(x)) fail("a float " + float_repr(x) + " has no integer value");
  if (!(x > -0x1p63 && x < 0x1p63)) {
    fail_unsupported("the integer of " + float_repr(x) + ": it needs more than 64 bits");
  }
  return static_cast<int64_t>(x);
}

double round_half_even(double x, int64_t digits) {
  if (!std::isfinite(x) || digits > 323) return x;
  if (digits < -308) return std::copysign(0.0, x);
  if (digits >= 0) {
    // glibc prints exactly and rounds halves to even, as Python does.
    char buffer[1100];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), x);
    return std::strtod(buffer, nullptr);
  }
  char buffer[1500];
  const double whole = std::trunc(x);
  std::snprintf(buffer, sizeof buffer, "%.0f", std::fabs(whole));
  std::string number = buffer;
  // A fraction breaks a tie upwards: one digit more stands for it.
  const bool has_fraction = whole != x;
  number += has_fraction ? '1' : '0';
  const size_t places = static_cast<size_t>(-digits) + 1;
  return std::copysign(std::strtod(round_integer_digits(number, places).c_str(), nullptr) / 10, x);
}

int64_t round_half_even(int64_t x, int64_t digits) {
  if (digits >= 0) return x;
  if (digits < -19) return 0;
  std::string s = std::to_string(x);
  const bool is_negative = s[0] == '-';
  if (is_negative) s.erase(0, 1);
  const std::string rounded = round_integer_digits(s, static_cast<size_t>(-digits));
  return *parse_integer((is_negative ? "-" : "") + rounded);
}

}  // namespace llmos::jinja
