#include <algorithm>
#include <string>
#include <vector>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/slices.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;
constexpr size_t npos = std::string_view::npos;

value like(machine& m, const value& self, std::string bytes) {
  return m.make_text(std::move(bytes), self.text().is_markup);
}

/// What is added to escaped text is escaped too.
std::string escaped(const text& s) {
  return s.is_markup ? s.bytes : escape_html(s.bytes);
}

void take_none(const char* name, args_t args) {
  bound_arguments(name, args, {});
}

// --- case ---------------------------------------------------------------------------------------

template <std::string (*convert)(std::string_view)>
value convert_case(machine& m, const value& self, args_t args) {
  take_none("a case method of str", args);
  return like(m, self, convert(self.bytes()));
}

// --- strip --------------------------------------------------------------------------------------

template <bool left, bool right>
value strip(machine& m, const value& self, args_t args) {
  const bound_arguments a("strip", args, {{nullptr}});
  std::string_view s = self.bytes();
  if (const value* chars = a.unless_none(0)) {
    const std::string& set = require_text(*chars, "strip").bytes;
    m.work(s.size() * std::min<size_t>(set.size(), 256));
    if (left) s = strip_left(s, set);
    if (right) s = strip_right(s, set);
  } else {
    if (left) s = strip_left(s);
    if (right) s = strip_right(s);
  }
  return s.size() == self.bytes().size() ? self : like(m, self, std::string(s));
}

value remove_prefix(machine& m, const value& self, args_t args) {
  const bound_arguments a("removeprefix", args, {{nullptr, true}});
  const std::string& prefix = a.text(0).bytes;
  return self.bytes().starts_with(prefix) ? like(m, self, self.bytes().substr(prefix.size()))
                                          : self;
}

value remove_suffix(machine& m, const value& self, args_t args) {
  const bound_arguments a("removesuffix", args, {{nullptr, true}});
  const std::string& suffix = a.text(0).bytes;
  if (!self.bytes().ends_with(suffix)) return self;
  return like(m, self, self.bytes().substr(0, self.bytes().size() - suffix.size()));
}

// --- find ---------------------------------------------------------------------------------------

struct search {
  std::string_view where;  ///< s[start:end]
  size_t offset = 0;       ///< Of `where` in s, in bytes.
  std::string_view what;
  bool is_outside = false;  ///< start lies past the end: nothing can be found.
};

search read_search(machine& m, const char* name, const value& self, args_t args,
                   const bound_arguments& a) {
  const auto [from, to] = byte_range(self.text(), a.get(1), a.get(2));
  search out;
  out.what = require_text(args.positional[0], name).bytes;
  out.is_outside = from > to;
  if (!out.is_outside) {
    out.where = std::string_view(self.bytes()).substr(from, to - from);
    out.offset = from;
  }
  m.work(out.where.size());
  return out;
}

int64_t find_position(machine& m, const char* name, const value& self, args_t args,
                      bool backwards) {
  const bound_arguments a(name, args, {{nullptr, true}, {nullptr}, {nullptr}});
  const search s = read_search(m, name, self, args, a);
  if (s.is_outside) return -1;
  const size_t at = backwards ? s.where.rfind(s.what) : s.where.find(s.what);
  return at == npos ? -1 : static_cast<int64_t>(code_point_index(self.text(), s.offset + at));
}

template <bool backwards>
value find(machine& m, const value& self, args_t args) {
  return find_position(m, "find", self, args, backwards);
}

template <bool backwards>
value index(machine& m, const value& self, args_t args) {
  const int64_t at = find_position(m, "index", self, args, backwards);
  if (at < 0) fail("index: the str is not in the other");
  return at;
}

value count(machine& m, const value& self, args_t args) {
  const bound_arguments a("count", args, {{nullptr, true}, {nullptr}, {nullptr}});
  const search s = read_search(m, "count", self, args, a);
  if (s.is_outside) return int64_t{0};
  if (s.what.empty()) return static_cast<int64_t>(count_code_points(s.where) + 1);
  int64_t n = 0;
  for (size_t at = s.where.find(s.what); at != npos;
       at = s.where.find(s.what, at + s.what.size())) {
    ++n;
  }
  return n;
}

template <bool at_end>
value starts_with(machine&, const value& self, args_t args) {
  constexpr const char* name = at_end ? "endswith" : "startswith";
  const bound_arguments a(name, args, {{nullptr, true}, {nullptr}, {nullptr}});
  const auto [from, to] = byte_range(self.text(), a.get(1), a.get(2));
  const bool is_outside = from > to;
  const std::string_view s =
      is_outside ? std::string_view() : std::string_view(self.bytes()).substr(from, to - from);
  const auto matches = [&](const value& x) {
    const std::string& affix = require_text(x, name).bytes;
    return !is_outside && (at_end ? s.ends_with(affix) : s.starts_with(affix));
  };
  if (!a[0].is_tuple()) return matches(a[0]);
  return std::any_of(a[0].items().begin(), a[0].items().end(), matches);
}

// --- split and join -----------------------------------------------------------------------------

using pieces = std::vector<std::string_view>;

value to_list(machine& m, const value& self, const pieces& parts) {
  m.check_count(parts.size());
  std::vector<value> out;
  for (const std::string_view part : parts) out.push_back(like(m, self, std::string(part)));
  return m.make_list(std::move(out));
}

pieces split_at(std::string_view s, std::string_view separator, uint64_t max) {
  pieces out;
  while (out.size() < max) {
    const size_t at = s.find(separator);
    if (at == npos) break;
    out.push_back(s.substr(0, at));
    s.remove_prefix(at + separator.size());
  }
  out.push_back(s);
  return out;
}

pieces split_at_backwards(std::string_view s, std::string_view separator, uint64_t max) {
  pieces out;
  while (out.size() < max) {
    const size_t at = s.rfind(separator);
    if (at == npos) break;
    out.push_back(s.substr(at + separator.size()));
    s = s.substr(0, at);
  }
  out.push_back(s);
  std::reverse(out.begin(), out.end());
  return out;
}

/// Length of the run without whitespace at the front of s.
size_t word_length(std::string_view s) {
  size_t pos = 0;
  while (pos < s.size()) {
    size_t next = pos;
    if (is_space(next_code_point(s, next))) break;
    pos = next;
  }
  return pos;
}

size_t word_length_backwards(std::string_view s) {
  size_t pos = s.size();
  while (pos > 0) {
    size_t next = pos;
    if (is_space(previous_code_point(s, next))) break;
    pos = next;
  }
  return s.size() - pos;
}

/// The last piece keeps the whitespace at its far end when `max` cuts the splitting short.
pieces split_words(std::string_view s, uint64_t max) {
  pieces out;
  for (s = strip_left(s); !s.empty(); s = strip_left(s)) {
    const size_t n = out.size() < max ? word_length(s) : s.size();
    out.push_back(s.substr(0, n));
    s.remove_prefix(n);
  }
  return out;
}

pieces split_words_backwards(std::string_view s, uint64_t max) {
  pieces out;
  for (s = strip_right(s); !s.empty(); s = strip_right(s)) {
    const size_t n = out.size() < max ? word_length_backwards(s) : s.size();
    out.push_back(s.substr(s.size() - n));
    s.remove_suffix(n);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

template <bool backwards>
value split(machine& m, const value& self, args_t args) {
  const bound_arguments a("split", args, {{"sep"}, {"maxsplit"}});
  const int64_t limit = a.integer(1, -1);
  const uint64_t max = limit < 0 ? UINT64_MAX : static_cast<uint64_t>(limit);
  m.work(self.bytes().size());
  const value* separator = a.unless_none(0);
  if (separator == nullptr) {
    return to_list(
        m, self,
        backwards ? split_words_backwards(self.bytes(), max) : split_words(self.bytes(), max));
  }
  const std::string& s = require_text(*separator, "split").bytes;
  if (s.empty()) fail("split: the separator is empty");
  return to_list(
      m, self,
      backwards ? split_at_backwards(self.bytes(), s, max) : split_at(self.bytes(), s, max));
}

value splitlines(machine& m, const value& self, args_t args) {
  const bound_arguments a("splitlines", args, {{"keepends"}});
  m.work(self.bytes().size());
  return to_list(m, self, split_lines(self.bytes(), a.truthy(0, false)));
}

template <bool backwards>
value partition(machine& m, const value& self, args_t args) {
  const bound_arguments a("partition", args, {{nullptr, true}});
  const std::string& separator = a.text(0).bytes;
  if (separator.empty()) fail("partition: the separator is empty");
  const std::string& s = self.bytes();
  m.work(s.size());
  const size_t at = backwards ? s.rfind(separator) : s.find(separator);
  const value empty = like(m, self, "");
  if (at == npos) {
    return backwards ? m.make_tuple({empty, empty, self}) : m.make_tuple({self, empty, empty});
  }
  return m.make_tuple({like(m, self, s.substr(0, at)), like(m, self, separator),
                       like(m, self, s.substr(at + separator.size()))});
}

value join(machine& m, const value& self, args_t args) {
  const bound_arguments a("join", args, {{nullptr, true}});
  std::string out;
  bool is_first = true;
  const auto it = iterate(m, a[0]);
  while (const auto x = it->next(m)) {
    m.step();
    if (!is_first) out += self.bytes();
    is_first = false;
    if (self.text().is_markup) {
      out += escaped(to_str_value(m, *x).text());
    } else {
      out += require_text(*x, "join").bytes;
    }
    m.check_length(out.size());
  }
  return like(m, self, std::move(out));
}

value replace(machine& m, const value& self, args_t args) {
  const bound_arguments a("replace", args, {{nullptr, true}, {nullptr, true}, {nullptr}});
  const int64_t count = a.integer(2, -1);
  if (!self.text().is_markup) return replace_text(m, self.text(), a.text(0), a.text(1), count);
  const value fresh = m.make_text(escaped(a.text(1)), true);
  return replace_text(m, self.text(), a.text(0), fresh.text(), count);
}

// --- padding ------------------------------------------------------------------------------------

/// Missing code points up to the asked width, checked against the longest text allowed.
uint64_t padding(machine& m, const value& self, int64_t width) {
  const auto length = static_cast<int64_t>(self.text().length);
  if (width <= length) return 0;
  m.check_length(static_cast<uint64_t>(width));
  return static_cast<uint64_t>(width - length);
}

std::string repeat(std::string_view s, uint64_t n) {
  std::string out;
  for (uint64_t i = 0; i < n; ++i) out += s;
  return out;
}

enum class side { left, right, both };

template <side where>
value pad(machine& m, const value& self, args_t args) {
  const bound_arguments a("padding", args, {{nullptr, true}, {nullptr}});
  const int64_t width = require_integer(a[0], "padding");
  const text* fill = a.get(1) != nullptr ? &a.text(1) : nullptr;
  std::string c = " ";
  if (fill != nullptr) c = self.text().is_markup ? escaped(*fill) : fill->bytes;
  if (count_code_points(c) != 1) fail("padding needs exactly one character");
  const uint64_t n = padding(m, self, width);
  if (n == 0) return self;
  // Where Python puts the odd one of a centred text.
  const uint64_t odd = n & static_cast<uint64_t>(width) & 1;
  const uint64_t before = where == side::left ? n : where == side::right ? 0 : n / 2 + odd;
  return like(m, self, repeat(c, before) + self.bytes() + repeat(c, n - before));
}

value zfill(machine& m, const value& self, args_t args) {
  const bound_arguments a("zfill", args, {{nullptr, true}});
  const uint64_t n = padding(m, self, require_integer(a[0], "zfill"));
  std::string out = self.bytes();
  const bool has_sign = !out.empty() && (out[0] == '+' || out[0] == '-');
  return like(m, self, out.insert(has_sign ? 1 : 0, n, '0'));
}

// --- predicates ---------------------------------------------------------------------------------

template <bool (*holds)(char32_t)>
bool all_are(std::string_view s) {
  for (size_t pos = 0; pos < s.size();) {
    if (!holds(next_code_point(s, pos))) return false;
  }
  return true;
}

template <bool (*holds)(char32_t)>
value all(machine& m, const value& self, args_t args) {
  take_none("a predicate of str", args);
  m.work(self.bytes().size());
  return !self.bytes().empty() && all_are<holds>(self.bytes());
}

value is_printable_text(machine& m, const value& self, args_t args) {
  take_none("isprintable", args);
  m.work(self.bytes().size());
  return all_are<is_printable>(self.bytes());
}

value is_ascii_text(machine&, const value& self, args_t args) {
  take_none("isascii", args);
  return self.text().is_ascii();
}

/// At least one letter with case, and none of the other case.
template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
value has_case(machine& m, const value& self, args_t args) {
  take_none("a predicate of str", args);
  m.work(self.bytes().size());
  bool found = false;
  const std::string& s = self.bytes();
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = next_code_point(s, pos);
    if (other(c) || is_title(c)) return false;
    found = found || wanted(c);
  }
  return found;
}

value is_title_text(machine& m, const value& self, args_t args) {
  take_none("istitle", args);
  m.work(self.bytes().size());
  bool found = false, in_word = false;
  const std::string& s = self.bytes();
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = next_code_point(s, pos);
    const bool opens = is_upper(c) || is_title(c);
    if (opens && in_word) return false;
    if (is_lower(c) && !in_word) return false;
    in_word = opens || is_lower(c);
    found = found || in_word;
  }
  return found;
}

// Every public method of Python's str; without a function: not in this build.
const method table[] = {
    {"capitalize", convert_case<to_capitalized>},
    {"casefold"},
    {"center", pad<side::both>},
    {"count", count},
    {"encode"},
    {"endswith", starts_with<true>},
    {"expandtabs"},
    {"find", find<false>},
    {"format", format_braces},
    {"format_map"},
    {"index", index<false>},
    {"isalnum", all<is_alnum>},
    {"isalpha", all<is_alpha>},
    {"isascii", is_ascii_text},
    {"isdecimal", all<is_decimal>},
    {"isdigit", all<is_digit>},
    {"isidentifier"},
    {"islower", has_case<is_lower, is_upper>},
    {"isnumeric", all<is_numeric>},
    {"isprintable", is_printable_text},
    {"isspace", all<is_space>},
    {"istitle", is_title_text},
    {"isupper", has_case<is_upper, is_lower>},
    {"join", join},
    {"ljust", pad<side::right>},
    {"lower", convert_case<to_lower>},
    {"lstrip", strip<true, false>},
    {"maketrans"},
    {"partition", partition<false>},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
    {"replace", replace},
    {"rfind", find<true>},
    {"rindex", index<true>},
    {"rjust", pad<side::left>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_with<false>},
    {"strip", strip<true, true>},
    {"swapcase", convert_case<to_swapped_case>},
    {"title", convert_case<to_title>},
    {"translate"},
    {"upper", convert_case<to_upper>},
    {"zfill", zfill},
};

}  // namespace

const method* find_text_method(std::string_view name) {
  const auto* it = std::lower_bound(std::begin(table), std::end(table), name,
                                    [](const method& x, std::string_view y) { return x.name < y; });
  return it != std::end(table) && it->name == name ? it : nullptr;
}

value replace_text(machine& m, const text& s, const text& old, const text& fresh, int64_t limit) {
  const uint64_t max = limit < 0 ? UINT64_MAX : static_cast<uint64_t>(limit);
  m.work(s.bytes.size());
  std::string out;
  uint64_t done = 0;
  size_t pos = 0;
  if (old.bytes.empty()) {
    // Between all characters, before the first and behind the last.
    for (; done < max; ++done) {
      m.check_length(out.size() + fresh.bytes.size());
      out += fresh.bytes;
      if (pos == s.bytes.size()) break;
      const size_t from = pos;
      next_code_point(s.bytes, pos);
      out.append(s.bytes, from, pos - from);
    }
  }
  for (; !old.bytes.empty() && done < max; ++done) {
    const size_t at = s.bytes.find(old.bytes, pos);
    if (at == npos) break;
    out.append(s.bytes, pos, at - pos);
    m.check_length(out.size() + fresh.bytes.size());
    out += fresh.bytes;
    pos = at + old.bytes.size();
  }
  out.append(s.bytes, pos);
  return m.make_text(std::move(out), s.is_markup);
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  const auto is_break = [](char32_t c) {
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
  };
  pieces out;
  size_t line = 0;
  for (size_t pos = 0; pos < s.size();) {
    const size_t end = pos;
    const char32_t c = next_code_point(s, pos);
    if (!is_break(c)) continue;
    if (c == '\r' && pos < s.size() && s[pos] == '\n') ++pos;
    out.push_back(s.substr(line, (keep_ends ? pos : end) - line));
    line = pos;
  }
  if (line < s.size()) out.push_back(s.substr(line));
  return out;
}

}  // namespace llmos::jinja
