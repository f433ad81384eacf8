#include "runtime/text/jinja/print.hpp"

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/numbers.hpp"
#include "runtime/text/jinja/unicode.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

void append_repr(machine& m, std::string& out, const value& x);

void append_escaped(std::string& out, char32_t c) {
  out += {'\\', c < 0x100 ? 'x' : c < 0x10000 ? 'u' : 'U'};
  append_hex(out, c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8);
}

void append_quoted(machine& m, std::string& out, std::string_view s) {
  m.scan(s.size());
  const bool has_single = s.find('\'') != std::string_view::npos;
  const char mark = has_single && s.find('"') == std::string_view::npos ? '"' : '\'';
  out += mark;
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = next_code_point(s, pos);
    m.check_length(out.size());
    if (c == static_cast<char32_t>(mark) || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else {
      append_escaped(out, c);
    }
  }
  out += mark;
}

void append_items(machine& m, std::string& out, const sequence& x) {
  out += x.is_tuple ? '(' : '[';
  for (size_t i = 0; i < x.items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(m, out, x.items[i]);
  }
  if (x.is_tuple && x.items.size() == 1) out += ',';
  out += x.is_tuple ? ')' : ']';
}

void append_entries(machine& m, std::string& out, const mapping& x) {
  out += '{';
  bool is_first = true;
  for (const auto& [key, item] : x.entries()) {
    if (!is_first) out += ", ";
    is_first = false;
    append_repr(m, out, key);
    out += ": ";
    append_repr(m, out, item);
  }
  out += '}';
}

void append_repr(machine& m, std::string& out, const value& x) {
  const depth_guard guard(m);  // namespaces can contain themselves
  m.step();
  switch (x.kind()) {
    case kind::missing:
    case kind::undefined: out += "Undefined"; break;
    case kind::none: out += "None"; break;
    case kind::boolean: out += x.boolean() ? "True" : "False"; break;
    case kind::integer: out += std::to_string(x.integer()); break;
    case kind::big_integer: out += std::to_string(x.big()); break;
    case kind::real: out += float_repr(x.real()); break;
    case kind::text:
      if (x.text().is_markup) out += "Markup(";
      append_quoted(m, out, x.bytes());
      if (x.text().is_markup) out += ')';
      break;
    case kind::sequence: append_items(m, out, x.sequence()); break;
    case kind::mapping: append_entries(m, out, x.mapping()); break;
    case kind::object: out += x.object()->print(m); break;
  }
  m.check_length(out.size());
}

}  // namespace

std::string quote(machine& m, std::string_view s) {
  std::string out;
  append_quoted(m, out, s);
  return out;
}

std::string to_repr(machine& m, const value& x) {
  std::string out;
  append_repr(m, out, x);
  return out;
}

std::string to_str(machine& m, const value& x) {
  if (x.is_text()) return x.bytes();
  if (x.is_undefined()) return {};
  return to_repr(m, x);
}

value to_str_value(machine& m, const value& x) {
  return x.is_text() ? x : m.make_text(to_str(m, x));
}

std::string escape_html(machine& m, std::string_view s) {
  m.scan(s.size());
  std::string out;
  for (const char c : s) {
    m.check_length(out.size());
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string object::print(machine&) {
  fail_unsupported(std::string("printing a ") + type_name());
}

value object::call(machine&, arguments) {
  fail(std::string("a ") + type_name() + " cannot be called");
}

std::string dict_view::print(machine& m) {
  std::vector<value> items;
  for (const auto& [key, x] : dict_.mapping().entries()) {
    switch (part_) {
      case dict_part::keys: items.push_back(key); break;
      case dict_part::values: items.push_back(x); break;
      case dict_part::items: items.push_back(m.make_tuple({key, x})); break;
    }
  }
  return std::string(type_name()) + "(" + to_repr(m, m.make_list(std::move(items))) + ")";
}

}  // namespace llmos::jinja
