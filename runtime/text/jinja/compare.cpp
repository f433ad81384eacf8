#include "runtime/text/jinja/compare.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/search.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

bool is_number(const value& x) {
  return x.is(kind::boolean) || x.is(kind::integer) || x.is(kind::big_integer) || x.is(kind::real);
}

/// Exact for every int and float: 64 bits of mantissa at least.
long double to_exact(const value& x) {
  static_assert(std::numeric_limits<long double>::digits >= 64);
  if (x.is(kind::real)) return x.real();
  if (x.is(kind::big_integer)) return static_cast<long double>(x.big());
  return static_cast<long double>(*x.as_integer());
}

template <class T>
bool holds(comparison op, const T& a, const T& b) {
  switch (op) {
    case comparison::lt: return a < b;
    case comparison::le: return a <= b;
    case comparison::gt: return a > b;
    default: return a >= b;
  }
}

bool equal_items(const std::vector<value>& a, const std::vector<value>& b, machine* m) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [m](const value& x, const value& y) { return equal(x, y, m); });
}

bool equal_entries(const mapping& a, const mapping& b, machine* m) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, x] : a.entries()) {
    const value* y = b.find(key, m);
    if (y == nullptr || !equal(x, *y, m)) return false;
  }
  return true;
}

bool equal_objects(const value& a, const value& b) {
  if (a.object() == b.object()) return true;
  if (a.as<dict_view>() && b.as<dict_view>()) fail_unsupported("comparing two dict views");
  return false;
}

const char* symbol(comparison op) {
  switch (op) {
    case comparison::lt: return "<";
    case comparison::le: return "<=";
    case comparison::gt: return ">";
    default: return ">=";
  }
}

bool ordered(machine& m, comparison op, const value& a, const value& b);

/// Python orders sequences by their first items that differ, else by length.
bool ordered_items(machine& m, comparison op, const std::vector<value>& a,
                   const std::vector<value>& b) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (!equal(a[i], b[i], &m)) return ordered(m, op, a[i], b[i]);
  }
  return holds(op, a.size(), b.size());
}

bool ordered(machine& m, comparison op, const value& a, const value& b) {
  if (is_number(a) && is_number(b)) return holds(op, to_exact(a), to_exact(b));
  if (a.is_text() && b.is_text()) {
    m.work(std::min(a.bytes().size(), b.bytes().size()));
    return holds(op, a.bytes(), b.bytes());  // UTF-8 sorts by code point
  }
  if (a.is(kind::sequence) && b.is(kind::sequence) && a.is_tuple() == b.is_tuple()) {
    return ordered_items(m, op, a.items(), b.items());
  }
  for (const value* x : {&a, &b}) {
    if (x->is_undefined()) fail(x->origin().message());
  }
  fail(std::string("'") + symbol(op) + "' is not possible between " + a.type_name() + " and " +
       b.type_name());
}

bool contains_item(machine& m, const value& container, const value& item) {
  const auto it = iterate(m, container);
  while (const auto x = it->next(m)) {
    m.step();
    if (x->is_same_as(item) || equal(*x, item, &m)) return true;
  }
  return false;
}

/// item in container
bool contains(machine& m, const value& container, const value& item) {
  if (container.is_text()) {
    if (!item.is_text()) {
      fail(std::string("'in <str>' needs a str on its left, not ") + item.type_name());
    }
    return find_text(m, container.bytes(), item.bytes()) != std::string_view::npos;
  }
  if (container.is(kind::mapping)) return container.mapping().find(item, &m) != nullptr;
  return contains_item(m, container, item);
}

}  // namespace

bool is_truthy(const value& x) {
  switch (x.kind()) {
    case kind::missing:
    case kind::undefined:
    case kind::none: return false;
    case kind::boolean: return x.boolean();
    case kind::integer: return x.integer() != 0;
    case kind::big_integer: return true;
    case kind::real: return x.real() != 0;
    case kind::text: return !x.bytes().empty();
    case kind::sequence: return !x.items().empty();
    case kind::mapping: return !x.mapping().entries().empty();
    case kind::object: return x.object()->is_truthy();
  }
  return false;
}

bool equal(const value& a, const value& b, machine* m) {
  if (m != nullptr) m->step();
  if (is_number(a) && is_number(b)) return to_exact(a) == to_exact(b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case kind::text:
      if (m != nullptr) m->work(std::min(a.bytes().size(), b.bytes().size()));
      return a.bytes() == b.bytes();
    case kind::sequence:
      return a.is_tuple() == b.is_tuple() && equal_items(a.items(), b.items(), m);
    case kind::mapping: return equal_entries(a.mapping(), b.mapping(), m);
    case kind::object: return equal_objects(a, b);
    default: return true;  // none and undefined: one value each
  }
}

size_t hash_of(const value& x, machine* m) {
  if (m != nullptr) m->step();
  switch (x.kind()) {
    case kind::boolean:
    case kind::integer: return std::hash<int64_t>()(*x.as_integer());
    case kind::big_integer: return std::hash<uint64_t>()(x.big());
    case kind::real: {
      const double d = x.real();
      const bool is_integer = std::floor(d) == d && std::fabs(d) < 0x1p63;
      return is_integer ? std::hash<int64_t>()(static_cast<int64_t>(d)) : std::hash<double>()(d);
    }
    case kind::text:
      if (m != nullptr) m->work(x.bytes().size());
      return std::hash<std::string>()(x.bytes());
    case kind::sequence: {
      if (!x.is_tuple()) break;
      size_t h = x.items().size();
      for (const value& item : x.items()) h = h * 1000003 + hash_of(item, m);
      return h;
    }
    case kind::mapping: break;
    case kind::object: return std::hash<const void*>()(x.object().get());
    default: return static_cast<size_t>(x.kind());
  }
  fail(std::string("a ") + x.type_name() + " cannot be a key: it is not hashable");
}

bool compare(machine& m, comparison op, const value& a, const value& b) {
  switch (op) {
    case comparison::eq: return equal(a, b, &m);
    case comparison::ne: return !equal(a, b, &m);
    case comparison::in: return contains(m, b, a);
    case comparison::not_in: return !contains(m, b, a);
    default: return ordered(m, op, a, b);
  }
}

}  // namespace llmos::jinja
