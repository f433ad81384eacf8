#include "runtime/text/jinja/unicode.hpp"

#include <algorithm>

#include "runtime/text/jinja/unicode_tables.hpp"
#include "runtime/text/unicode.hpp"

namespace llmos::jinja {

namespace {

constexpr bool is_continuation(char c) {
  return (static_cast<uint8_t>(c) & 0xc0) == 0x80;
}

/// The run of an ascending table that c falls into, or nullptr.
template <class Run>
const Run* find_run(std::span<const Run> table, char32_t c) {
  auto it = std::upper_bound(table.begin(), table.end(), c,
                             [](char32_t x, const Run& run) { return x < run.first; });
  if (it == table.begin()) return nullptr;
  --it;
  const bool inside = c <= it->last && (c - it->first) % it->stride == 0;
  return inside ? &*it : nullptr;
}

bool in(std::span<const tables::code_point_run> table, char32_t c) {
  return find_run(table, c) != nullptr;
}

/// Appends what `table` makes of c; false when c is not in it.
bool append_mapped(std::string& out, const tables::case_table& table, char32_t c) {
  if (const auto* run = find_run(table.runs, c)) {
    append_utf8(out, static_cast<char32_t>(static_cast<int64_t>(c) + run->delta));
    return true;
  }
  const auto it = std::lower_bound(table.expansions.begin(), table.expansions.end(), c,
                                   [](const auto& x, char32_t y) { return x.from < y; });
  if (it == table.expansions.end() || it->from != c) return false;
  for (const char32_t* p = it->to; *p != 0; ++p) append_utf8(out, *p);
  return true;
}

void append_upper(std::string& out, char32_t c) {
  if (!append_mapped(out, tables::uppercase, c)) append_utf8(out, c);
}

void append_title(std::string& out, char32_t c) {
  if (!append_mapped(out, tables::titlecase, c)) append_upper(out, c);
}

bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

/// A sigma ends a word when a cased letter precedes it and none follows, ignorables aside.
bool is_final_sigma(std::string_view s, size_t begin, size_t end) {
  bool cased_before = false;
  while (begin > 0) {
    const char32_t c = previous_code_point(s, begin);
    if (in(tables::case_ignorable, c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  while (end < s.size()) {
    const char32_t c = next_code_point(s, end);
    if (!in(tables::case_ignorable, c)) return !is_cased(c);
  }
  return true;
}

/// Appends the lower case of the character c of s in [begin, end).
void append_lower(std::string& out, std::string_view s, char32_t c, size_t begin, size_t end) {
  constexpr char32_t capital_sigma = 0x3a3, final_sigma = 0x3c2;
  if (c == capital_sigma && is_final_sigma(s, begin, end)) return append_utf8(out, final_sigma);
  if (!append_mapped(out, tables::lowercase, c)) append_utf8(out, c);
}

/// Calls f(c, begin, end) for every character.
template <class F>
void each(std::string_view s, F f) {
  for (size_t pos = 0; pos < s.size();) {
    const size_t begin = pos;
    const char32_t c = next_code_point(s, pos);
    f(c, begin, pos);
  }
}

template <class Drop>
std::string_view strip_left_if(std::string_view s, Drop drop) {
  while (!s.empty()) {
    size_t pos = 0;
    if (!drop(next_code_point(s, pos))) break;
    s.remove_prefix(pos);
  }
  return s;
}

template <class Drop>
std::string_view strip_right_if(std::string_view s, Drop drop) {
  while (!s.empty()) {
    size_t pos = s.size();
    if (!drop(previous_code_point(s, pos))) break;
    s = s.substr(0, pos);
  }
  return s;
}

}  // namespace

size_t count_code_points(std::string_view s) {
  size_t n = 0;
  for (const char c : s) n += is_continuation(c) ? 0 : 1;
  return n;
}

char32_t next_code_point(std::string_view s, size_t& pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t b = byte(pos);
  const size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
  char32_t c = n == 1 ? b : b & (0xffu >> (n + 1));
  for (size_t i = 1; i < n && pos + i < s.size(); ++i) c = (c << 6) | (byte(pos + i) & 0x3f);
  pos = std::min(pos + n, s.size());
  return c;
}

char32_t previous_code_point(std::string_view s, size_t& pos) {
  --pos;
  while (pos > 0 && is_continuation(s[pos])) --pos;
  size_t at = pos;
  return next_code_point(s, at);
}

void append_utf8(std::string& out, char32_t c) {
  llmos::append_utf8(c, out);
}

void append_hex(std::string& out, uint32_t x, int digits) {
  while (digits-- > 0) out += "0123456789abcdef"[(x >> (4 * digits)) & 15];
}

std::u32string decode(std::string_view s) {
  std::u32string out;
  out.reserve(count_code_points(s));
  for (size_t pos = 0; pos < s.size();) out += next_code_point(s, pos);
  return out;
}

std::string shortened(std::string_view s, size_t max) {
  if (s.size() <= max) return std::string(s);
  while (max > 0 && is_continuation(s[max])) --max;
  return std::string(s.substr(0, max)) + "\u2026";
}

std::string repair_utf8(std::string_view s) {
  std::string out;
  while (!s.empty()) {
    const utf8_step step = read_utf8(s);
    append_utf8(out, step.code_point);
    s.remove_prefix(step.length);
  }
  return out;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  return in(tables::space, c);
}

bool is_alpha(char32_t c) {
  return in(tables::alpha, c);
}
bool is_decimal(char32_t c) {
  return in(tables::decimal, c);
}
bool is_digit(char32_t c) {
  return is_decimal(c) || in(tables::digit, c);
}
bool is_numeric(char32_t c) {
  return is_digit(c) || in(tables::numeric, c);
}
bool is_alnum(char32_t c) {
  return is_alpha(c) || is_numeric(c);
}
bool is_upper(char32_t c) {
  return in(tables::upper, c);
}
bool is_lower(char32_t c) {
  return in(tables::lower, c);
}
bool is_title(char32_t c) {
  return in(tables::title, c);
}

bool is_printable(char32_t c) {
  if (c < 0x7f) return c >= 0x20;
  return !in(tables::unprintable, c);
}

int decimal_value(char32_t c) {
  // Unicode keeps the ten digits of a script together; neighbouring scripts can share a run.
  const auto* run = find_run(tables::decimal, c);
  return static_cast<int>((c - run->first) % 10);
}

std::string to_upper(std::string_view s) {
  std::string out;
  each(s, [&](char32_t c, size_t, size_t) { append_upper(out, c); });
  return out;
}

std::string to_lower(std::string_view s) {
  std::string out;
  each(s, [&](char32_t c, size_t begin, size_t end) { append_lower(out, s, c, begin, end); });
  return out;
}

std::string to_capitalized(std::string_view s) {
  std::string out;
  each(s, [&](char32_t c, size_t begin, size_t end) {
    begin == 0 ? append_title(out, c) : append_lower(out, s, c, begin, end);
  });
  return out;
}

std::string to_title(std::string_view s) {
  std::string out;
  bool in_word = false;
  each(s, [&](char32_t c, size_t begin, size_t end) {
    in_word ? append_lower(out, s, c, begin, end) : append_title(out, c);
    in_word = is_cased(c);
  });
  return out;
}

std::string to_swapped_case(std::string_view s) {
  std::string out;
  each(s, [&](char32_t c, size_t begin, size_t end) {
    if (is_upper(c)) {
      append_lower(out, s, c, begin, end);
    } else if (is_lower(c)) {
      append_upper(out, c);
    } else {
      append_utf8(out, c);
    }
  });
  return out;
}

std::string_view strip_left(std::string_view s) {
  return strip_left_if(s, is_space);
}
std::string_view strip_right(std::string_view s) {
  return strip_right_if(s, is_space);
}

character_set::character_set(std::string_view chars) {
  for (size_t pos = 0; pos < chars.size();) {
    const char32_t c = next_code_point(chars, pos);
    if (c < ascii_.size()) {
      ascii_[c] = true;
    } else {
      others_ += c;
    }
  }
  std::sort(others_.begin(), others_.end());
}

bool character_set::contains(char32_t c) const {
  if (c < ascii_.size()) return ascii_[c];
  return std::binary_search(others_.begin(), others_.end(), c);
}

std::string_view strip_left(std::string_view s, const character_set& chars) {
  return strip_left_if(s, [&](char32_t c) { return chars.contains(c); });
}

std::string_view strip_right(std::string_view s, const character_set& chars) {
  return strip_right_if(s, [&](char32_t c) { return chars.contains(c); });
}

}  // namespace llmos::jinja
