#include "runtime/text/jinja/access.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/slices.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

using source = undefined_origin::source;

/// What Python's numbers have and templates never ask for.
bool is_number_attribute(const value& x, std::string_view name) {
  static constexpr std::array<std::string_view, 12> names = {
      "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes",
      "fromhex",          "hex",       "imag",       "numerator", "real",        "to_bytes"};
  const bool is_number =
      x.is(kind::integer) || x.is(kind::boolean) || x.is(kind::real) || x.is(kind::big_integer);
  return is_number && (std::find(names.begin(), names.end(), name) != names.end() ||
                       (x.is(kind::real) && name == "is_integer"));
}

/// getattr(x, name), or nothing where Python raises an AttributeError.
std::optional<value> find_attribute(machine& m, const value& x, const std::string& name) {
  if (x.is_undefined()) fail(x.origin().message());
  if (const method* f = find_method(x, name)) {
    if (f->is_forbidden) return m.make_undefined(source::forbidden, name, x.type_name());
    return m.make_object(std::make_shared<bound_method>(x, *f));
  }
  if (is_number_attribute(x, name)) {
    fail_unsupported(std::string("attribute '") + name + "' of a " + x.type_name());
  }
  return x.is(kind::object) ? x.object()->attribute(m, name) : std::nullopt;
}

/// x[key] for a position: the item or nothing.
std::optional<size_t> position(const value& key, size_t length) {
  const auto i = key.as_integer();
  if (!i) return std::nullopt;
  const auto n = static_cast<int64_t>(length);
  if (*i >= n || *i < -n) return std::nullopt;
  return static_cast<size_t>(*i < 0 ? *i + n : *i);
}

bool is_hashable(machine& m, const value& x) {
  m.step();
  if (x.is(kind::mapping) || x.is_list()) return false;
  return !x.is_tuple() || std::all_of(x.items().begin(), x.items().end(),
                                      [&m](const value& item) { return is_hashable(m, item); });
}

std::optional<value> find_character(machine& m, const text& s, const value& key) {
  const auto i = position(key, s.length);
  if (!i) return std::nullopt;
  const size_t from = byte_offset(m, s, *i);
  size_t to = from;
  next_code_point(s.bytes, to);
  return m.make_text(s.bytes.substr(from, to - from), s.is_markup);
}

/// x[key], or nothing where Python raises a LookupError or TypeError.
std::optional<value> find_item(machine& m, const value& x, const value& key) {
  switch (x.kind()) {
    case kind::undefined: fail(x.origin().message());
    case kind::text: return find_character(m, x.text(), key);
    case kind::sequence: {
      const auto i = position(key, x.items().size());
      if (!i) return std::nullopt;
      return x.items()[*i];
    }
    case kind::mapping: {
      const value* found = is_hashable(m, key) ? x.mapping().find(key, &m) : nullptr;
      if (found == nullptr) return std::nullopt;
      return *found;
    }
    case kind::object: return x.object()->item(m, key);
    default: return std::nullopt;
  }
}

value slice_text(machine& m, const value& x, const slice_range& range) {
  const text& s = x.text();
  if (range.step == 1) {
    const size_t from = byte_offset(m, s, static_cast<size_t>(range.first));
    const size_t to = byte_offset(m, s, static_cast<size_t>(range.first + range.count));
    return m.make_text(s.bytes.substr(from, to - from), s.is_markup);
  }
  m.scan(s.bytes.size());
  const std::u32string all = s.is_ascii() ? std::u32string() : decode(s.bytes);
  std::string out;
  for (int64_t i = 0, at = range.first; i < range.count; ++i) {
    if (s.is_ascii()) {
      out += s.bytes[static_cast<size_t>(at)];
    } else {
      append_utf8(out, all[static_cast<size_t>(at)]);
    }
    if (i + 1 < range.count) at += range.step;  // the one after may not even fit an int64
  }
  return m.make_text(std::move(out), s.is_markup);
}

value slice_sequence(machine& m, const value& x, const slice_range& range) {
  m.check_count(static_cast<uint64_t>(range.count));
  std::vector<value> out;
  out.reserve(static_cast<size_t>(range.count));
  for (int64_t i = 0, at = range.first; i < range.count; ++i) {
    out.push_back(x.items()[static_cast<size_t>(at)]);
    if (i + 1 < range.count) at += range.step;
  }
  return x.is_tuple() ? m.make_tuple(std::move(out)) : m.make_list(std::move(out));
}

std::optional<int64_t> slice_bound(const value& x) {
  if (x.is(kind::missing) || x.is_none()) return std::nullopt;
  return require_integer(x, "a slice");
}

}  // namespace

value bound_method::call(machine& m, arguments args) {
  return call_method(m, self_, method_, args);
}

value call_method(machine& m, const value& self, const method& f, const arguments& args) {
  if (f.is_forbidden)
    fail(undefined_origin{source::forbidden, std::string(f.name), self.type_name()}.message());
  if (f.call == nullptr) {
    fail_unsupported("method '" + std::string(f.name) + "' of a " + self.type_name());
  }
  m.step();
  return f.call(m, self, args);
}

value get_attribute(machine& m, const value& x, const std::string& name) {
  m.work(name.size());
  if (!name.starts_with('_')) {
    if (auto found = find_attribute(m, x, name)) return *std::move(found);
  }
  if (auto found = find_item(m, x, constant_text(name))) return *std::move(found);
  return m.make_undefined(source::attribute, name, x.type_name());
}

value get_plain_attribute(machine& m, const value& x, const std::string& name) {
  if (!name.starts_with('_')) {
    if (auto found = find_attribute(m, x, name)) return *std::move(found);
  }
  return m.make_undefined(source::attribute, name, x.type_name());
}

value get_item(machine& m, const value& x, const value& key) {
  if (auto found = find_item(m, x, key)) return *std::move(found);
  if (!key.is_text()) return m.make_undefined(source::element, to_repr(m, key), x.type_name());
  if (!key.bytes().starts_with('_')) {
    if (auto found = find_attribute(m, x, key.bytes())) return *std::move(found);
  }
  return m.make_undefined(source::attribute, key.bytes(), x.type_name());
}

value get_slice(machine& m, const value& x, const value& start, const value& stop,
                const value& step) {
  if (x.is_undefined()) fail(x.origin().message());
  if (!x.is_text() && !x.is(kind::sequence)) {
    const bool is_sliceable = x.is(kind::object) && x.object()->is_subscriptable();
    if (is_sliceable) fail_unsupported(std::string("a slice of a ") + x.type_name());
    fail(std::string("a ") + x.type_name() + " cannot be sliced");
  }
  const size_t length = x.is_text() ? x.text().length : x.items().size();
  const slice_range range = resolve_slice(static_cast<int64_t>(length), slice_bound(start),
                                          slice_bound(stop), slice_bound(step));
  return x.is_text() ? slice_text(m, x, range) : slice_sequence(m, x, range);
}

value call_value(machine& m, const value& x, arguments args) {
  if (x.is_undefined()) fail(x.origin().message());
  if (!x.is(kind::object) || !x.object()->is_callable()) {
    fail(std::string("a ") + x.type_name() + " cannot be called");
  }
  m.step();
  const auto callee = x.object();
  return callee->call(m, std::move(args));
}

}  // namespace llmos::jinja
