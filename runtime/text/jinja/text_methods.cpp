#include <algorithm>
#include <string>
#include <vector>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/search.hpp"
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
std::string escaped(machine& m, const text& s) {
  return s.is_markup ? s.bytes : escape_html(m, s.bytes);
}

void take_none(const char* name, args_t args) {
  bound_arguments(name, args, {});
}

// --- case ---------------------------------------------------------------------------------------

template <std::string (*convert)(std::string_view)>
value convert_case(machine& m, const value& self, args_t args) {
  take_none("a case method of str", args);
  m.scan(self.bytes().size());
  return like(m, self, convert(self.bytes()));
}

// --- strip --------------------------------------------------------------------------------------

template <bool left, bool right>
value strip(machine& m, const value& self, args_t args) {
  const bound_arguments a("strip", args, {{nullptr}});
  std::string_view s = self.bytes();
  if (const value* chars = a.unless_none(0)) {
    const text& listed = require_text(*chars, "strip");
    m.scan(listed.bytes.size());
    const character_set set(listed.bytes);
    if (left) s = strip_left(s, set);
    if (right) s = strip_right(s, set);
  } else {
    if (left) s = strip_left(s);
    if (right) s = strip_right(s);
  }
  m.scan(self.bytes().size() - s.size());
  return s.size() == self.bytes().size() ? self : like(m, self, std::string(s));
}

value remove_prefix(machine& m, const value& self, args_t args) {
  const bound_arguments a("removeprefix", args, {{nullptr, true}});
  const std::string& prefix = a.text(0).bytes;
  m.work(prefix.size());
  return self.bytes().starts_with(prefix) ? like(m, self, self.bytes().substr(prefix.size()))
                                          : self;
}

value remove_suffix(machine& m, const value& self, args_t args) {
  const bound_arguments a("removesuffix", args, {{nullptr, true}});
  const std::string& suffix = a.text(0).bytes;
  m.work(suffix.size());
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
  const auto [from, to] = byte_range(m, self.text(), a.get(1), a.get(2));
  search out;
  out.what = require_text(args.positional[0], name).bytes;
  out.is_outside = from > to;
  if (!out.is_outside) {
    out.where = std::string_view(self.bytes()).substr(from, to - from);
    out.offset = from;
  }
  return out;
}

int64_t find_position(machine& m, const char* name, const value& self, args_t args,
                      bool backwards) {
  const bound_arguments a(name, args, {{nullptr, true}, {nullptr}, {nullptr}});
  const search s = read_search(m, name, self, args, a);
  if (s.is_outside) return -1;
  const size_t at = backwards ? find_last_text(m, s.where, s.what) : find_text(m, s.where, s.what);
  return at == npos ? -1 : static_cast<int64_t>(code_point_index(m, self.text(), s.offset + at));
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
  m.work(s.where.size());
  if (s.what.empty()) return static_cast<int64_t>(count_code_points(s.where) + 1);
  int64_t n = 0;
  std::string_view rest = s.where;
  for (size_t at; (at = find_text(m, rest, s.what)) != npos; ++n) {
    rest.remove_prefix(at + s.what.size());
  }
  m.step(static_cast<uint64_t>(n) / 4);
  return n;
}

template <bool at_end>
value starts_with(machine& m, const value& self, args_t args) {
  constexpr const char* name = at_end ? "endswith" : "startswith";
  const bound_arguments a(name, args, {{nullptr, true}, {nullptr}, {nullptr}});
  const auto [from, to] = byte_range(m, self.text(), a.get(1), a.get(2));
  const bool is_outside = from > to;
  const std::string_view s =
      is_outside ? std::string_view() : std::string_view(self.bytes()).substr(from, to - from);
  const auto matches = [&](const value& x) {
    const std::string& affix = require_text(x, name).bytes;
    m.step(1 + std::min(s.size(), affix.size()) / 256);
    return !is_outside && (at_end ? s.ends_with(affix) : s.starts_with(affix));
  };
  if (!a[0].is_tuple()) return matches(a[0]);
  return std::any_of(a[0].items().begin(), a[0].items().end(), matches);
}

// --- split and join -----------------------------------------------------------------------------

/// The pieces of a str, each a value as soon as it is found.
class pieces {
public:
  pieces(machine& m, const value& whole) : machine_(m), whole_(whole) {}

  size_t size() const { return items_.size(); }
  void add(std::string_view piece) { items_.push_back(like(machine_, whole_, std::string(piece))); }
  value to_list() { return machine_.make_list(std::move(items_)); }
  value to_reversed_list() {
    std::reverse(items_.begin(), items_.end());
    return to_list();
  }

private:
  machine& machine_;
  const value& whole_;
  std::vector<value> items_;
};

value split_at(machine& m, const value& self, std::string_view separator, uint64_t max) {
  pieces out(m, self);
  std::string_view s = self.bytes();
  while (out.size() < max) {
    const size_t at = find_text(m, s, separator);
    if (at == npos) break;
    out.add(s.substr(0, at));
    s.remove_prefix(at + separator.size());
  }
  out.add(s);
  return out.to_list();
}

value split_at_backwards(machine& m, const value& self, const std::string& separator,
                         uint64_t max) {
  pieces out(m, self);
  std::string_view s = self.bytes();
  // Both turned around, the search goes forwards.
  const std::string turned(s.rbegin(), s.rend());
  const std::string turned_separator(separator.rbegin(), separator.rend());
  m.search(turned.size() + turned_separator.size());
  while (out.size() < max) {
    const std::string_view rest = std::string_view(turned).substr(turned.size() - s.size());
    const size_t at = find_text(m, rest, turned_separator);
    if (at == npos) break;
    out.add(s.substr(s.size() - at));
    s.remove_suffix(at + separator.size());
  }
  out.add(s);
  return out.to_reversed_list();
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
value split_words(machine& m, const value& self, uint64_t max) {
  pieces out(m, self);
  std::string_view s = self.bytes();
  m.scan(s.size());
  for (s = strip_left(s); !s.empty(); s = strip_left(s)) {
    const size_t n = out.size() < max ? word_length(s) : s.size();
    out.add(s.substr(0, n));
    s.remove_prefix(n);
  }
  return out.to_list();
}

value split_words_backwards(machine& m, const value& self, uint64_t max) {
  pieces out(m, self);
  std::string_view s = self.bytes();
  m.scan(s.size());
  for (s = strip_right(s); !s.empty(); s = strip_right(s)) {
    const size_t n = out.size() < max ? word_length_backwards(s) : s.size();
    out.add(s.substr(s.size() - n));
    s.remove_suffix(n);
  }
  return out.to_reversed_list();
}

template <bool backwards>
value split(machine& m, const value& self, args_t args) {
  const bound_arguments a("split", args, {{"sep"}, {"maxsplit"}});
  const int64_t limit = a.integer(1, -1);
  const uint64_t max = limit < 0 ? UINT64_MAX : static_cast<uint64_t>(limit);
  const value* separator = a.unless_none(0);
  if (separator == nullptr) {
    return backwards ? split_words_backwards(m, self, max) : split_words(m, self, max);
  }
  const std::string& s = require_text(*separator, "split").bytes;
  if (s.empty()) fail("split: the separator is empty");
  return backwards ? split_at_backwards(m, self, s, max) : split_at(m, self, s, max);
}

value splitlines(machine& m, const value& self, args_t args) {
  const bound_arguments a("splitlines", args, {{"keepends"}});
  const bool keep_ends = a.truthy(0, false);
  m.scan(self.bytes().size());
  pieces out(m, self);
  for (size_t pos = 0; pos < self.bytes().size();) {
    out.add(take_line(self.bytes(), pos, keep_ends));
  }
  return out.to_list();
}

template <bool backwards>
value partition(machine& m, const value& self, args_t args) {
  const bound_arguments a("partition", args, {{nullptr, true}});
  const std::string& separator = a.text(0).bytes;
  if (separator.empty()) fail("partition: the separator is empty");
  const std::string& s = self.bytes();
  const size_t at = backwards ? find_last_text(m, s, separator) : find_text(m, s, separator);
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
      out += escaped(m, to_str_value(m, *x).text());
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
  const value fresh = m.make_text(escaped(m, a.text(1)), true);
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
  if (s.size() == 1) return std::string(n, s[0]);
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
  if (fill != nullptr) c = self.text().is_markup ? escaped(m, *fill) : fill->bytes;
  if (count_code_points(c) != 1) fail("padding needs exactly one character");
  const uint64_t n = padding(m, self, width);
  if (n == 0) return self;
  m.check_length(self.bytes().size() + n * c.size());
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
  m.scan(self.bytes().size());
  return !self.bytes().empty() && all_are<holds>(self.bytes());
}

value is_printable_text(machine& m, const value& self, args_t args) {
  take_none("isprintable", args);
  m.scan(self.bytes().size());
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
  m.scan(self.bytes().size());
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
  m.scan(self.bytes().size());
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
      m.step();
      m.check_length(out.size() + fresh.bytes.size());
      out += fresh.bytes;
      if (pos == s.bytes.size()) break;
      const size_t from = pos;
      next_code_point(s.bytes, pos);
      out.append(s.bytes, from, pos - from);
    }
  }
  for (; !old.bytes.empty() && done < max; ++done) {
    const size_t n = find_text(m, std::string_view(s.bytes).substr(pos), old.bytes);
    if (n == npos) break;
    m.step();
    out.append(s.bytes, pos, n);
    m.check_length(out.size() + fresh.bytes.size());
    out += fresh.bytes;
    pos += n + old.bytes.size();
  }
  out.append(s.bytes, pos);
  return m.make_text(std::move(out), s.is_markup);
}

std::string_view take_line(std::string_view s, size_t& pos, bool keep_end) {
  const auto is_break = [](char32_t c) {
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
  };
  const size_t line = pos;
  while (pos < s.size()) {
    const size_t end = pos;
    const char32_t c = next_code_point(s, pos);
    if (!is_break(c)) continue;
    if (c == '\r' && pos < s.size() && s[pos] == '\n') ++pos;
    return s.substr(line, (keep_end ? pos : end) - line);
  }
  return s.substr(line);
}

}  // namespace llmos::jinja
