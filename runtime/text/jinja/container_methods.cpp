#include <algorithm>
#include <string>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/slices.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;

value dict_get(machine& m, const value& self, args_t args) {
  const bound_arguments a("get", args, {{nullptr, true}, {nullptr}});
  if (const value* x = self.mapping().find(a[0], &m)) return *x;
  return a.get(1) != nullptr ? a[1] : value(none_type{});
}

template <dict_part part>
value dict_parts(machine& m, const value& self, args_t args) {
  bound_arguments("a dict view", args, {});
  return m.make_object(std::make_shared<dict_view>(self, part));
}

/// A shallow copy of what never changes is the thing itself.
value copy(machine&, const value& self, args_t args) {
  bound_arguments("copy", args, {});
  return self;
}

value sequence_count(machine& m, const value& self, args_t args) {
  const bound_arguments a("count", args, {{nullptr, true}});
  int64_t n = 0;
  for (const value& x : self.items()) n += equal(x, a[0], &m) ? 1 : 0;
  return n;
}

value sequence_index(machine& m, const value& self, args_t args) {
  const bound_arguments a("index", args, {{nullptr, true}, {nullptr}, {nullptr}});
  const auto& items = self.items();
  const auto bound = [&](size_t i) -> std::optional<int64_t> {
    if (a.get(i) == nullptr) return std::nullopt;
    return a.integer(i, 0);
  };
  const slice_range in =
      resolve_slice(static_cast<int64_t>(items.size()), bound(1), bound(2), std::nullopt);
  for (int64_t i = in.first; i < in.first + in.count; ++i) {
    if (equal(items[static_cast<size_t>(i)], a[0], &m)) return i;
  }
  fail(std::string("index: the item is not in the ") + self.type_name());
}

const method dict_table[] = {
    {"clear", nullptr, true},
    {"copy", copy},
    {"fromkeys"},
    {"get", dict_get},
    {"items", dict_parts<dict_part::items>},
    {"keys", dict_parts<dict_part::keys>},
    {"pop", nullptr, true},
    {"popitem", nullptr, true},
    {"setdefault", nullptr, true},
    {"update", nullptr, true},
    {"values", dict_parts<dict_part::values>},
};

// A tuple has the first two.
const method sequence_table[] = {
    {"count", sequence_count},  {"index", sequence_index}, {"copy", copy},
    {"append", nullptr, true},  {"clear", nullptr, true},  {"extend", nullptr, true},
    {"insert", nullptr, true},  {"pop", nullptr, true},    {"remove", nullptr, true},
    {"reverse", nullptr, true}, {"sort", nullptr, true},
};

const method* find_in(const method* begin, const method* end, std::string_view name) {
  const auto* it = std::find_if(begin, end, [name](const method& x) { return x.name == name; });
  return it != end ? it : nullptr;
}

}  // namespace

const method* find_dict_method(std::string_view name) {
  return find_in(std::begin(dict_table), std::end(dict_table), name);
}

const method* find_sequence_method(std::string_view name, bool is_tuple) {
  const auto* begin = std::begin(sequence_table);
  return find_in(begin, is_tuple ? begin + 2 : std::end(sequence_table), name);
}

const method* find_method(const value& x, std::string_view name) {
  switch (x.kind()) {
    case kind::text: return find_text_method(name);
    case kind::mapping: return find_dict_method(name);
    case kind::sequence: return find_sequence_method(name, x.is_tuple());
    default: return nullptr;
  }
}

}  // namespace llmos::jinja
