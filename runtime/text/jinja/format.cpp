// str.format and the % operator: Python's two ways to lay out values in a text.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>

#include "runtime/text/jinja/access.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/numbers.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/slices.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

/// How one value is laid out: the common part of `%-8.3f` and `{:<8.3f}`.
struct layout {
  std::string fill = " ";
  char align = 0;  ///< '<' '>' '^' '=' or 0: the type's own.
  char sign = '-';
  bool alternate = false;
  uint64_t width = 0;
  std::optional<uint64_t> precision;
  char grouping = 0;  ///< ',' '_' or 0.
  char type = 0;
};

std::string integer_digits(uint64_t x, unsigned base, bool upper) {
  std::string out;
  do {
    out += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[x % base];
    x /= base;
  } while (x > 0);
  return {out.rbegin(), out.rend()};
}

unsigned base_of(char type) {
  switch (type) {
    case 'b': return 2;
    case 'o': return 8;
    case 'x':
    case 'X': return 16;
    default: return 10;
  }
}

std::string prefix_of(char type) {
  return base_of(type) == 10 ? "" : std::string("0") + type;
}

/// Digits of |x| after the C format of that letter, which is Python's too.
std::string real_digits(machine& m, double x, char type, uint64_t precision, bool alternate) {
  if (!std::isfinite(x)) {
    const bool upper = type == 'F' || type == 'E' || type == 'G';
    return std::isnan(x) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
  }
  m.check_length(precision);
  m.scan(precision + 310);  // digits behind and before the point
  const std::string format = std::string("%") + (alternate ? "#" : "") + ".*" + type;
  std::string out(precision + 330, '\0');
  out.resize(static_cast<size_t>(std::snprintf(out.data(), out.size(), format.c_str(),
                                               static_cast<int>(precision), std::fabs(x))));
  return out;
}

std::string grouped(std::string digits, const layout& l) {
  if (l.grouping == 0) return digits;
  const size_t every = base_of(l.type) == 10 ? 3 : 4;
  size_t end = digits.find_first_not_of("0123456789abcdefABCDEF");
  if (base_of(l.type) == 10) end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (size_t i = end; i > every; i -= every) digits.insert(i - every, 1, l.grouping);
  return digits;
}

/// Fills `body` up to the width; `head` (sign and prefix) stays in front of '=' filling.
std::string padded(machine& m, const layout& l, char own_align, const std::string& head,
                   const std::string& body) {
  const uint64_t length = count_code_points(head) + count_code_points(body);
  if (l.width <= length) return head + body;
  m.check_length(l.width * l.fill.size());
  const uint64_t n = l.width - length;
  const auto filling = [&](uint64_t times) {
    std::string out;
    for (uint64_t i = 0; i < times; ++i) out += l.fill;
    return out;
  };
  switch (l.align != 0 ? l.align : own_align) {
    case '<': return head + body + filling(n);
    case '^': return filling(n / 2) + head + body + filling(n - n / 2);
    case '=': return head + filling(n) + body;
    default: return filling(n) + head + body;
  }
}

std::string sign_of(bool is_negative, const layout& l) {
  if (is_negative) return "-";
  return l.sign == '-' ? "" : std::string(1, l.sign);
}

std::string lay_out_integer(machine& m, const layout& l, int64_t x) {
  const uint64_t magnitude = x < 0 ? 0 - static_cast<uint64_t>(x) : static_cast<uint64_t>(x);
  std::string digits = integer_digits(magnitude, base_of(l.type), l.type == 'X');
  if (l.precision && digits.size() < *l.precision) {  // only % has it
    m.check_length(*l.precision);
    digits.insert(0, *l.precision - digits.size(), '0');
  }
  const std::string head = sign_of(x < 0, l) + (l.alternate ? prefix_of(l.type) : "");
  return padded(m, l, '>', head, grouped(digits, l));
}

std::string lay_out_real(machine& m, const layout& l, double x) {
  const std::string head = sign_of(std::signbit(x) && !std::isnan(x), l);
  if (l.type == 0) {
    if (l.precision) fail_unsupported("a float format with a precision and no type");
    return padded(m, l, '>', head, grouped(float_repr(std::fabs(x)), l));
  }
  const bool is_percent = l.type == '%';
  std::string digits = real_digits(m, is_percent ? x * 100 : x, is_percent ? 'f' : l.type,
                                   l.precision.value_or(6), l.alternate);
  if (is_percent) digits += '%';
  return padded(m, l, '>', head, grouped(std::move(digits), l));
}

std::string lay_out_text(machine& m, const layout& l, std::string s) {
  m.work(s.size());
  if (l.precision) {
    size_t pos = 0;
    for (uint64_t i = 0; i < *l.precision && pos < s.size(); ++i) next_code_point(s, pos);
    s.resize(pos);
  }
  return padded(m, l, '<', "", s);
}

/// Reads the digits at `pos`; nothing if there are none.
std::optional<uint64_t> read_number(machine& m, std::string_view s, size_t& pos) {
  uint64_t out = 0;
  const size_t from = pos;
  for (; pos < s.size() && s[pos] >= '0' && s[pos] <= '9'; ++pos) {
    out = out * 10 + static_cast<uint64_t>(s[pos] - '0');
    m.check_length(out);  // no width or precision may be longer than a text
  }
  return pos > from ? std::optional(out) : std::nullopt;
}

// --- % ------------------------------------------------------------------------------------------

/// The operand of % as the source of arguments.
class percent_arguments {
public:
  explicit percent_arguments(const value& operand) : operand_(operand) {}

  const value& next() {
    if (operand_.is_tuple()) {
      if (used_ >= operand_.items().size()) fail("% has too few arguments for its format");
      return operand_.items()[used_++];
    }
    if (used_++ > 0) fail("% has too few arguments for its format");
    return operand_;
  }

  const value& named(machine& m, const std::string& key) {
    if (!operand_.is(kind::mapping)) fail("% with a name needs a dict");
    is_named_ = true;
    const value* x = operand_.mapping().find(key, &m);
    if (x == nullptr) fail("% finds no '" + key + "' in its dict");
    return *x;
  }

  /// Python lets everything with x[…] but tuples and strs be left over.
  void check_all_used() const {
    const bool may_be_left = operand_.is(kind::mapping) || operand_.is_list() ||
                             operand_.is_undefined() || operand_.is(kind::object) || is_named_;
    const size_t given = operand_.is_tuple() ? operand_.items().size() : 1;
    if (!may_be_left && used_ < given) fail("% has more arguments than its format uses");
  }

private:
  const value& operand_;
  size_t used_ = 0;
  bool is_named_ = false;
};

bool read_percent_flag(char c, layout& l) {
  switch (c) {
    case '-': l.align = '<'; return true;
    case '+': l.sign = '+'; return true;
    case ' ':
      if (l.sign != '+') l.sign = ' ';
      return true;
    case '0': l.fill = "0"; return true;
    case '#': l.alternate = true; return true;
    default: return false;
  }
}

uint64_t read_star_or_number(machine& m, std::string_view s, size_t& pos, percent_arguments& args,
                             layout* l) {
  if (pos >= s.size() || s[pos] != '*') return read_number(m, s, pos).value_or(0);
  ++pos;
  const int64_t n = require_integer(args.next(), "'*' in a format");
  if (n < 0 && l != nullptr) l->align = '<';
  const uint64_t out = n >= 0         ? static_cast<uint64_t>(n)
                       : l != nullptr ? 0 - static_cast<uint64_t>(n)
                                      : 0;
  m.check_length(out);
  return out;
}

std::string percent_integer(machine& m, layout l, const value& x) {
  const bool takes_real = l.type == 'd' || l.type == 'i' || l.type == 'u';
  if (takes_real) l.type = 'd';
  if (x.is(kind::real) && takes_real) return lay_out_integer(m, l, truncate_to_integer(x.real()));
  if (const auto i = x.as_integer()) return lay_out_integer(m, l, *i);
  fail(std::string("%") + l.type + " needs a number, not a " + x.type_name());
}

std::string percent_real(machine& m, const layout& l, const value& x) {
  if (x.is(kind::real)) return lay_out_real(m, l, x.real());
  if (const auto i = x.as_integer()) return lay_out_real(m, l, static_cast<double>(*i));
  fail(std::string("%") + l.type + " needs a number, not a " + x.type_name());
}

std::string percent_character(machine& m, const layout& l, const value& x) {
  if (x.is_text() && x.text().length == 1) return lay_out_text(m, l, x.bytes());
  const auto i = x.as_integer();
  if (!i || *i < 0 || *i > 0x10ffff) fail("%c needs one character");
  if (*i >= 0xd800 && *i < 0xe000) fail_unsupported("a lone surrogate");
  std::string out;
  append_utf8(out, static_cast<char32_t>(*i));
  return lay_out_text(m, l, out);
}

std::string percent_text(machine& m, layout l, std::string s) {
  l.fill = " ";
  if (l.align == 0) l.align = '>';
  return lay_out_text(m, l, std::move(s));
}

std::string lay_out_percent(machine& m, layout l, const value& x) {
  // '0' fills between sign and digits, and is nothing when aligned to the left.
  if (l.align == '<') l.fill = " ";
  const bool is_zero_filled = l.fill == "0";
  switch (l.type) {
    case 's': return percent_text(m, l, to_str(m, x));
    case 'r': return percent_text(m, l, to_repr(m, x));
    case 'c': l.precision.reset(); return percent_text(m, l, percent_character(m, {}, x));
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      if (is_zero_filled) l.align = '=';
      return percent_integer(m, l, x);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (is_zero_filled) l.align = '=';
      return percent_real(m, l, x);
    case 'a': fail_unsupported("the format %a");
    default: fail(std::string("% knows no conversion '") + l.type + "'");
  }
}

/// Lays out the conversion whose '%' is before `pos`, and moves `pos` behind it.
std::string read_conversion(machine& m, std::string_view s, size_t& pos, percent_arguments& args) {
  const value* x = nullptr;
  if (pos < s.size() && s[pos] == '(') {
    size_t depth = 1, end = pos + 1;
    for (; end < s.size() && depth > 0; ++end) depth += s[end] == '(' ? 1 : s[end] == ')' ? -1 : 0;
    if (depth > 0) fail("% has a name that does not end");
    x = &args.named(m, std::string(s.substr(pos + 1, end - pos - 2)));
    pos = end;
  }
  layout l;
  while (pos < s.size() && read_percent_flag(s[pos], l)) ++pos;
  l.width = read_star_or_number(m, s, pos, args, &l);
  if (pos < s.size() && s[pos] == '.') {
    ++pos;
    l.precision = read_star_or_number(m, s, pos, args, nullptr);
  }
  if (pos < s.size() && (s[pos] == 'l' || s[pos] == 'h' || s[pos] == 'L')) ++pos;
  if (pos >= s.size()) fail("% ends within its format");
  const size_t from = pos;
  next_code_point(s, pos);
  if (pos > from + 1)
    fail("% knows no conversion '" + std::string(s.substr(from, pos - from)) + "'");
  l.type = s[from];
  if (l.type == '%') return "%";
  return lay_out_percent(m, l, x != nullptr ? *x : args.next());
}

// --- {} -----------------------------------------------------------------------------------------

/// One replacement field: {name!conversion:spec}.
struct field {
  std::string name;
  char conversion = 0;
  std::string spec;
};

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

layout read_spec(machine& m, const std::string& spec) {
  layout l;
  size_t pos = 0;
  size_t after_first = 0;
  if (!spec.empty()) next_code_point(spec, after_first);
  if (after_first > 0 && after_first < spec.size() && is_align(spec[after_first])) {
    l.fill = spec.substr(0, after_first);
    l.align = spec[after_first];
    pos = after_first + 1;
  } else if (!spec.empty() && is_align(spec[0])) {
    l.align = spec[pos++];
  }
  const auto accept = [&](std::string_view any) {
    const bool ok = pos < spec.size() && any.find(spec[pos]) != std::string_view::npos;
    return ok ? spec[pos++] : '\0';
  };
  if (const char c = accept("+- ")) l.sign = c;
  if (accept("#")) l.alternate = true;
  if (pos < spec.size() && spec[pos] == '0' && l.align == 0) {
    l.fill = "0";
    l.align = '=';
    ++pos;
  }
  l.width = read_number(m, spec, pos).value_or(0);
  l.grouping = accept(",_");
  if (accept(".")) {
    l.precision = read_number(m, spec, pos);
    if (!l.precision) fail("a format lacks its precision");
  }
  l.type = accept("bcdeEfFgGosxX%");
  if (pos != spec.size()) fail_unsupported("the format '" + spec + "'");
  return l;
}

std::string lay_out_braces(machine& m, const std::string& spec, const value& x) {
  if (spec.empty()) return to_str(m, x);
  layout l = read_spec(m, spec);
  const bool is_real_type =
      std::string_view("eEfFgG%").find(l.type) != std::string_view::npos && l.type != 0;
  const bool is_integer_type =
      l.type != 0 && std::string_view("bdoxX").find(l.type) != std::string_view::npos;
  const bool is_text_type = l.type == 0 || l.type == 's';
  if (x.is_text() && is_text_type && l.align != '=') return lay_out_text(m, l, x.bytes());
  const bool is_plain_integer = x.is(kind::integer) || (x.is(kind::boolean) && l.type != 0);
  if (is_plain_integer && (is_integer_type || l.type == 0) && !l.precision) {
    return lay_out_integer(m, l, *x.as_integer());
  }
  if (x.is(kind::real) && (is_real_type || l.type == 0)) return lay_out_real(m, l, x.real());
  if (is_plain_integer && is_real_type) {
    return lay_out_real(m, l, static_cast<double>(*x.as_integer()));
  }
  if (x.is(kind::boolean) && l.type == 0) return lay_out_integer(m, l, x.boolean() ? 1 : 0);
  if (l.type == 'c') fail_unsupported("the format 'c'");
  fail("the format '" + spec + "' does not fit a " + x.type_name());
}

class brace_formatter {
public:
  brace_formatter(machine& m, const arguments& args) : m_(m), args_(args) {}

  std::string expand(std::string_view s, int nesting) {
    if (nesting > 2) fail("a format nests too deeply");
    m_.search(s.size());
    std::string out;
    for (size_t pos = 0; pos < s.size();) {
      const char c = s[pos++];
      const bool is_doubled = pos < s.size() && s[pos] == c;
      if (c != '{' && c != '}') {
        out += c;
      } else if (is_doubled) {
        out += c;
        ++pos;
      } else if (c == '}') {
        fail("a format has a single '}'");
      } else {
        out += lay_out(read_field(s, pos), nesting);
        m_.check_length(out.size());
      }
    }
    return out;
  }

private:
  /// Reads up to the brace that closes the one before `pos`.
  static field read_field(std::string_view s, size_t& pos) {
    field out;
    const auto stops = [&](char c) { return c == '!' || c == ':' || c == '}' || c == '{'; };
    bool in_brackets = false;
    while (pos < s.size() && (in_brackets || !stops(s[pos]))) {
      in_brackets = s[pos] == '[' || (in_brackets && s[pos] != ']');
      out.name += s[pos++];
    }
    if (pos + 1 < s.size() && s[pos] == '!') {
      out.conversion = s[pos + 1];
      pos += 2;
      if (pos < s.size() && s[pos] != ':' && s[pos] != '}')
        fail("a format's conversion is one letter");
    }
    if (pos < s.size() && s[pos] == ':') {
      ++pos;
      for (int depth = 0; pos < s.size() && (depth > 0 || s[pos] != '}'); ++pos) {
        depth += s[pos] == '{' ? 1 : s[pos] == '}' ? -1 : 0;
        out.spec += s[pos];
      }
    }
    if (pos >= s.size() || s[pos] != '}') fail("a format has a '{' that does not end");
    ++pos;
    return out;
  }

  std::string lay_out(const field& f, int nesting) {
    m_.step();
    value x = look_up(f.name);
    switch (f.conversion) {
      case 0: break;
      case 's': x = to_str_value(m_, x); break;
      case 'r': x = m_.make_text(to_repr(m_, x)); break;
      default: fail_unsupported(std::string("the conversion !") + f.conversion);
    }
    return lay_out_braces(m_, expand(f.spec, nesting + 1), x);
  }

  /// The value of "", "0", "name", "name.attribute" or "name[item]".
  value look_up(const std::string& name) {
    if (name.empty() || is_number(name)) count_by(!name.empty());
    if (name.empty()) return positional(next_++);
    const size_t end = std::min(name.find_first_of(".["), name.size());
    const std::string first = name.substr(0, end);
    value x =
        is_number(first) ? positional(static_cast<size_t>(*parse_integer(first))) : named(first);
    for (size_t pos = end; pos < name.size();) {
      m_.step();
      const bool is_item = name[pos] == '[';
      const size_t stop = is_item ? name.find(']', pos) : name.find_first_of(".[", pos + 1);
      if (is_item && stop == std::string::npos) fail("a format has a '[' that does not end");
      const std::string part = name.substr(pos + 1, std::min(stop, name.size()) - pos - 1);
      if (part.empty()) fail("a format has an empty attribute");
      x = is_item ? get_item(m_, x, item_key(part)) : get_attribute(m_, x, part);
      pos = is_item ? stop + 1 : std::min(stop, name.size());
    }
    return x;
  }

  static bool is_number(const std::string& s) {
    return !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
  }

  static value item_key(const std::string& s) {
    return is_number(s) ? value(*parse_integer(s)) : constant_text(s);
  }

  void count_by(bool numbers) {
    if (counts_by_numbers_.value_or(numbers) != numbers) {
      fail("a format mixes numbered and unnumbered fields");
    }
    counts_by_numbers_ = numbers;
  }

  const value& positional(size_t i) const {
    if (i >= args_.positional.size()) fail("format has too few arguments");
    return args_.positional[i];
  }

  const value& named(const std::string& name) const {
    m_.step(args_.named.size() / 8);
    const auto it = std::find_if(args_.named.begin(), args_.named.end(),
                                 [&](const auto& x) { return x.first == name; });
    if (it == args_.named.end()) fail("format got no argument '" + name + "'");
    return it->second;
  }

  machine& m_;
  const arguments& args_;
  size_t next_ = 0;
  std::optional<bool> counts_by_numbers_;
};

}  // namespace

value format_percent(machine& m, const value& format, const value& operand) {
  if (format.text().is_markup) fail_unsupported("'%' on escaped text");
  percent_arguments args(operand);
  const std::string_view s = format.bytes();
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    const size_t at = std::min(s.find('%', pos), s.size());
    out += s.substr(pos, at - pos);
    pos = at;
    if (pos < s.size()) out += read_conversion(m, s, ++pos, args);
    m.check_length(out.size());
    m.step();
  }
  args.check_all_used();
  return m.make_text(std::move(out));
}

value format_braces(machine& m, const value& self, const arguments& args) {
  if (self.text().is_markup) fail_unsupported("format on escaped text");
  return m.make_text(brace_formatter(m, args).expand(self.bytes(), 0));
}

}  // namespace llmos::jinja
