#include <algorithm>
#include <string>
#include <string_view>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/filters.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/json.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/slices.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;

/// A filter that is the str method of the same name, on str(x).
value call_text_method(machine& m, const char* name, const value& x, args_t args) {
  return find_text_method(name)->call(m, to_str_value(m, x), args);
}

value upper(machine& m, const value& x, args_t args) {
  return call_text_method(m, "upper", x, args);
}
value lower(machine& m, const value& x, args_t args) {
  return call_text_method(m, "lower", x, args);
}

value capitalize(machine& m, const value& x, args_t args) {
  return call_text_method(m, "capitalize", x, args);
}

value trim(machine& m, const value& x, args_t args) {
  const bound_arguments a("trim", args, {{"chars"}});
  arguments chars;
  if (a.get(0) != nullptr) chars.positional.push_back(a[0]);
  return call_text_method(m, "strip", x, chars);
}

value center(machine& m, const value& x, args_t args) {
  const bound_arguments a("center", args, {{"width"}});
  arguments width;
  width.positional.push_back(value(a.integer(0, 80)));
  return call_text_method(m, "center", x, width);
}

/// Unlike str.title: only these begin a word, and its first letter is in upper case.
value title(machine& m, const value& x, args_t args) {
  bound_arguments("title", args, {});
  const auto separates = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  const std::string s = to_str(m, x);
  m.scan(s.size());
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    const size_t from = pos;
    const bool is_separator = separates(next_code_point(s, pos));
    if (is_separator) {
      out.append(s, from, pos - from);
      continue;
    }
    const size_t rest = pos;
    while (pos < s.size()) {
      size_t next = pos;
      if (separates(next_code_point(s, next))) break;
      pos = next;
    }
    out += to_upper(std::string_view(s).substr(from, rest - from));
    out += to_lower(std::string_view(s).substr(rest, pos - rest));
  }
  return m.make_text(std::move(out));
}

value replace(machine& m, const value& x, args_t args) {
  const bound_arguments a("replace", args, {{"old", true}, {"new", true}, {"count"}});
  const value s = m.make_text(to_str(m, x));  // no longer markup
  const value old = to_str_value(m, a[0]), fresh = to_str_value(m, a[1]);
  const value* count = a.unless_none(2);
  return replace_text(m, s.text(), old.text(), fresh.text(),
                      count != nullptr ? require_integer(*count, "replace") : -1);
}

value string(machine& m, const value& x, args_t args) {
  bound_arguments("string", args, {});
  return to_str_value(m, x);
}

value escape(machine& m, const value& x, args_t args) {
  bound_arguments("escape", args, {});
  if (x.is_text() && x.text().is_markup) return x;
  return m.make_text(escape_html(m, to_str(m, x)), true);
}

value force_escape(machine& m, const value& x, args_t args) {
  bound_arguments("forceescape", args, {});
  return m.make_text(escape_html(m, to_str(m, x)), true);
}

value safe(machine& m, const value& x, args_t args) {
  bound_arguments("safe", args, {});
  return m.make_text(to_str(m, x), true);
}

value format(machine& m, const value& x, args_t args) {
  if (!args.positional.empty() && !args.named.empty()) {
    fail("format takes positional or named arguments, not both");
  }
  if (args.named.empty()) {
    return format_percent(m, to_str_value(m, x), m.make_tuple(args.positional));
  }
  auto named = std::make_shared<mapping>();
  for (const auto& [name, item] : args.named) named->set(m.make_text(name), item, &m);
  return format_percent(m, to_str_value(m, x), m.make_dict(std::move(named)));
}

value indent(machine& m, const value& x, args_t args) {
  const bound_arguments a("indent", args, {{"width"}, {"first"}, {"blank"}});
  const text& s = require_text(x, "indent");
  std::string by(4, ' ');
  if (a.get(0) != nullptr) {
    const int64_t width = a[0].is_text() ? 0 : std::max<int64_t>(a.integer(0, 4), 0);
    m.check_length(static_cast<uint64_t>(width));
    m.scan(static_cast<uint64_t>(width));
    by = a[0].is_text() ? a[0].bytes() : std::string(static_cast<size_t>(width), ' ');
  }
  const bool indents_first = a.truthy(1, false), indents_blank = a.truthy(2, false);
  const std::string ended = s.bytes + "\n";
  m.scan(ended.size());
  std::string out;
  bool is_first = true;
  for (size_t pos = 0; pos < ended.size();) {
    const std::string_view line = take_line(ended, pos, false);
    m.step();
    if (!is_first) out += '\n';
    const bool indents = is_first ? indents_first : indents_blank || !line.empty();
    if (indents) out += by;
    out += line;
    m.check_length(out.size());
    is_first = false;
  }
  return m.make_text(std::move(out), s.is_markup);
}

value truncate(machine& m, const value& x, args_t args) {
  const bound_arguments a("truncate", args, {{"length"}, {"killwords"}, {"end"}, {"leeway"}});
  const int64_t length = a.integer(0, 255);
  const value end = a.get(2) != nullptr ? a[2] : constant_text("...");
  const auto end_length = static_cast<int64_t>(require_text(end, "truncate").length);
  const value* leeway_or_none = a.unless_none(3);
  const int64_t leeway =
      leeway_or_none != nullptr ? require_integer(*leeway_or_none, "truncate") : 5;
  if (length < end_length) fail("truncate: the length is less than that of its end");
  if (leeway < 0) fail("truncate: the leeway is negative");
  const auto size = length_of(m, x);
  if (!size) fail(std::string("truncate of a ") + x.type_name());
  if (static_cast<int64_t>(*size) - leeway <= length) return x;
  const text& s = require_text(x, "truncate");
  std::string out = s.bytes.substr(0, byte_offset(m, s, static_cast<size_t>(length - end_length)));
  m.search(out.size());
  if (!a.truthy(1, false)) out.resize(std::min(out.rfind(' '), out.size()));
  return m.make_text(out + end.bytes());
}

value wordcount(machine& m, const value& x, args_t args) {
  bound_arguments("wordcount", args, {});
  const std::string s = to_str(m, x);
  m.scan(s.size());
  int64_t n = 0;
  bool in_word = false;
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = next_code_point(s, pos);
    const bool is_word = c == '_' || is_alnum(c);
    n += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return n;
}

value join(machine& m, const value& x, args_t args) {
  const bound_arguments a("join", args, {{"d"}, {"attribute"}});
  const std::string separator = a.get(0) != nullptr ? to_str(m, a[0]) : std::string();
  m.work(separator.size());
  const attribute_path path(m, a.get(1), false);
  std::string out;
  bool is_first = true;
  const auto it = iterate(m, x);
  while (const auto item = it->next(m)) {
    m.step();
    if (!is_first) out += separator;
    is_first = false;
    out += to_str(m, path.get(m, *item));
    m.check_length(out.size());
  }
  return m.make_text(std::move(out));
}

std::optional<std::string> json_indent(machine& m, const value* x) {
  if (x == nullptr) return std::nullopt;
  if (x->is_text()) return x->bytes();
  const int64_t n = std::max<int64_t>(require_integer(*x, "tojson's indent"), 0);
  m.check_length(static_cast<uint64_t>(n));
  m.scan(static_cast<uint64_t>(n));
  return std::string(static_cast<size_t>(n), ' ');
}

/// Hugging Face's, which does not escape HTML.
value tojson(machine& m, const value& x, args_t args) {
  const bound_arguments a("tojson", args,
                          {{"ensure_ascii"}, {"indent"}, {"separators"}, {"sort_keys"}});
  json_style style;
  style.ensure_ascii = a.truthy(0, false);
  style.indent = json_indent(m, a.unless_none(1));
  style.sort_keys = a.truthy(3, false);
  if (style.indent) style.item_separator = ",";
  if (const value* separators = a.unless_none(2)) {
    const std::vector<value> both = collect(m, *separators);
    if (both.size() != 2) fail("tojson needs two separators");
    style.item_separator = require_text(both[0], "tojson").bytes;
    style.key_separator = require_text(both[1], "tojson").bytes;
  }
  return m.make_text(to_json(m, x, style));
}

const builtin_filter table[] = {
    {"capitalize", capitalize},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", force_escape},
    {"format", format},
    {"indent", indent},
    {"join", join},
    {"lower", lower},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", upper},
    {"wordcount", wordcount},
};

}  // namespace

std::span<const builtin_filter> text_filters() {
  return table;
}

}  // namespace llmos::jinja
