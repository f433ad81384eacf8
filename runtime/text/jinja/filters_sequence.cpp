#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/access.hpp"
#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/filters.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/operators.hpp"
#include "runtime/text/jinja/print.hpp"
#include "runtime/text/jinja/unicode.hpp"
#include "runtime/text/jinja/views.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;

value nothing(machine& m, const char* text) {
  return m.make_undefined(undefined_origin::source::other, text);
}

uint32_t depth_of(args_t args) {
  uint32_t out = 0;
  for (const value& x : args.positional) out = std::max(out, x.depth());
  for (const auto& [name, x] : args.named) out = std::max(out, x.depth());
  return out;
}

// --- one result ---------------------------------------------------------------------------------

value otherwise(machine&, const value& x, args_t args) {
  const bound_arguments a("default", args, {{"default_value"}, {"boolean"}});
  const bool is_missing = x.is_undefined() || (a.truthy(1, false) && !is_truthy(x));
  if (!is_missing) return x;
  return a.get(0) != nullptr ? a[0] : constant_text("");
}

value length(machine& m, const value& x, args_t args) {
  bound_arguments("length", args, {});
  const auto n = length_of(m, x);
  if (!n) fail(std::string("a ") + x.type_name() + " has no length");
  return static_cast<int64_t>(*n);
}

value first(machine& m, const value& x, args_t args) {
  bound_arguments("first", args, {});
  if (auto item = iterate(m, x)->next(m)) return *std::move(item);
  return nothing(m, "there is no first item: the sequence is empty");
}

value last(machine& m, const value& x, args_t args) {
  bound_arguments("last", args, {});
  const value none = nothing(m, "there is no last item: the sequence is empty");
  if (x.is_undefined()) return none;
  const auto it = try_iterate_reversed(m, x);
  if (it == nullptr) fail(std::string("last of a ") + x.type_name() + ": it cannot be reversed");
  return it->next(m).value_or(none);
}

value list(machine& m, const value& x, args_t args) {
  bound_arguments("list", args, {});
  return m.make_list(collect(m, x));
}

value attribute(machine& m, const value& x, args_t args) {
  const bound_arguments a("attr", args, {{"name", true}});
  return get_plain_attribute(m, x, a.text(0).bytes);
}

value sum(machine& m, const value& x, args_t args) {
  const bound_arguments a("sum", args, {{"attribute"}, {"start"}});
  const attribute_path path(m, a.get(0), false);
  value out = a.get(1) != nullptr ? a[1] : value(int64_t{0});
  if (out.is_text()) fail("sum adds no strs: use join");
  const auto it = iterate(m, x);
  while (const auto item = it->next(m)) {
    out = calculate(m, arithmetic::add, out, path.get(m, *item));
  }
  return out;
}

template <comparison beats>
value extreme(machine& m, const value& x, args_t args) {
  const bound_arguments a("min and max", args, {{"case_sensitive"}, {"attribute"}});
  const attribute_path path(m, a.get(1), !a.truthy(0, false));
  const auto it = iterate(m, x);
  std::optional<value> best = it->next(m);
  if (!best) return nothing(m, "there is no least or greatest item: the sequence is empty");
  value best_key = path.get(m, *best);
  while (auto item = it->next(m)) {
    m.step();
    value key = path.get(m, *item);
    if (!compare(m, beats, key, best_key)) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return *best;
}

// --- orders -------------------------------------------------------------------------------------

struct keyed {
  value key;
  value item;
};

void sort_by_key(machine& m, std::vector<keyed>& items, bool descends) {
  std::stable_sort(items.begin(), items.end(), [&](const keyed& a, const keyed& b) {
    m.step();
    return compare(m, comparison::lt, descends ? b.key : a.key, descends ? a.key : b.key);
  });
}

value items_of(machine& m, std::vector<keyed> sorted) {
  std::vector<value> out;
  for (keyed& x : sorted) out.push_back(std::move(x.item));
  return m.make_list(std::move(out));
}

/// "a,b.c" → the paths of both.
std::vector<attribute_path> split_paths(machine& m, const value* attribute, bool folds_case) {
  std::vector<attribute_path> out;
  if (attribute == nullptr || !attribute->is_text()) {
    out.emplace_back(m, attribute, folds_case);
    return out;
  }
  const std::string& s = attribute->bytes();
  check_attribute_length(s.size());
  for (size_t from = 0; from <= s.size();) {
    const size_t comma = std::min(s.find(',', from), s.size());
    const value one = constant_text(s.substr(from, comma - from));
    out.emplace_back(m, &one, folds_case);
    from = comma + 1;
  }
  return out;
}

value sort(machine& m, const value& x, args_t args) {
  const bound_arguments a("sort", args, {{"reverse"}, {"case_sensitive"}, {"attribute"}});
  const auto paths = split_paths(m, a.get(2), !a.truthy(1, false));
  std::vector<keyed> items;
  for (value& item : collect(m, x)) {
    std::vector<value> key;
    for (const attribute_path& path : paths) key.push_back(path.get(m, item));
    items.push_back({m.make_list(std::move(key)), std::move(item)});
  }
  sort_by_key(m, items, a.truthy(0, false));
  return items_of(m, std::move(items));
}

value dictsort(machine& m, const value& x, args_t args) {
  const bound_arguments a("dictsort", args, {{"case_sensitive"}, {"by"}, {"reverse"}});
  const std::string by = a.get(1) != nullptr ? a.text(1).bytes : "key";
  if (by != "key" && by != "value") fail("dictsort sorts by 'key' or 'value'");
  if (x.is_undefined()) fail(x.origin().message());
  if (!x.is(kind::mapping)) fail(std::string("dictsort of a ") + x.type_name());
  const attribute_path path(m, nullptr, !a.truthy(0, false));
  std::vector<keyed> items;
  for (const auto& [key, item] : x.mapping().entries()) {
    items.push_back({path.get(m, by == "key" ? key : item), m.make_tuple({key, item})});
  }
  sort_by_key(m, items, a.truthy(2, false));
  return items_of(m, std::move(items));
}

value reverse(machine& m, const value& x, args_t args) {
  bound_arguments("reverse", args, {});
  if (x.is_text()) return get_slice(m, x, value(), value(), value(int64_t{-1}));
  if (x.is_undefined()) return m.make_list({});
  if (auto it = try_iterate_reversed(m, x)) return m.make_object(std::move(it));
  std::vector<value> items = collect(m, x);
  std::reverse(items.begin(), items.end());
  return m.make_list(std::move(items));
}

/// What groupby makes: a tuple whose items have names.
class group : public object {
public:
  group(value key, value items) : key_(std::move(key)), items_(std::move(items)) {}

  const char* type_name() const override { return "tuple"; }
  uint32_t depth() const override { return std::max(key_.depth(), items_.depth()) + 1; }
  bool is_subscriptable() const override { return true; }
  std::optional<size_t> length(machine&) override { return 2; }
  std::string print(machine& m) override { return to_repr(m, as_tuple(m)); }
  std::shared_ptr<iterator> iterate(machine& m) override { return jinja::iterate(m, as_tuple(m)); }
  std::shared_ptr<iterator> iterate_reversed(machine& m) override {
    return try_iterate_reversed(m, as_tuple(m));
  }
  std::optional<value> attribute(machine&, std::string_view name) override {
    if (name == "grouper") return key_;
    if (name == "list") return items_;
    return std::nullopt;
  }
  std::optional<value> item(machine& m, const value& key) override {
    const value found = get_item(m, as_tuple(m), key);
    return found.is_undefined() ? std::nullopt : std::optional(found);
  }

private:
  value as_tuple(machine& m) const { return m.make_tuple({key_, items_}); }

  value key_, items_;
};

value groupby(machine& m, const value& x, args_t args) {
  const bound_arguments a("groupby", args, {{"attribute", true}, {"default"}, {"case_sensitive"}});
  const attribute_path folded(m, a.get(0), !a.truthy(2, false), a.get(1));
  const attribute_path plain(m, a.get(0), false, a.get(1));
  std::vector<keyed> items;
  for (value& item : collect(m, x)) {
    value key = folded.get(m, item);
    items.push_back({std::move(key), std::move(item)});
  }
  sort_by_key(m, items, false);
  std::vector<value> out;
  for (auto from = items.begin(); from != items.end();) {
    const auto to = std::find_if(from, items.end(),
                                 [&](const keyed& k) { return !equal(k.key, from->key, &m); });
    std::vector<value> members;
    std::for_each(from, to, [&](const keyed& k) { members.push_back(k.item); });
    const value key = plain.get(m, members.front());
    out.push_back(m.make_object(std::make_shared<group>(key, m.make_list(std::move(members)))));
    from = to;
  }
  return m.make_list(std::move(out));
}

// --- lazy sequences -----------------------------------------------------------------------------

/// A Python generator over the items of another sequence, which it asks for one at a time. Nothing
/// happens before the first item is asked for; a source that counts as false gives none.
class generator : public iterator {
public:
  using transform = std::function<std::optional<value>(machine&, const value&)>;

  /// `f` gives what an item becomes, or nothing to leave it out.
  generator(value source, uint32_t depth, transform f)
      : source_(std::move(source)), depth_(depth + 1), f_(std::move(f)) {}

  uint32_t depth() const override { return depth_; }

  std::optional<value> next(machine& m) override {
    const depth_guard guard(m);
    if (items_ == nullptr) {
      if (!jinja::is_truthy(source_)) return std::nullopt;
      items_ = jinja::iterate(m, source_);
    }
    while (const auto item = items_->next(m)) {
      m.step();
      if (auto out = f_(m, *item)) return out;
    }
    return std::nullopt;
  }

private:
  value source_;
  uint32_t depth_;
  transform f_;
  std::shared_ptr<iterator> items_;
};

value generate(machine& m, const value& x, args_t args, generator::transform f) {
  const uint32_t depth = std::max(x.depth(), depth_of(args));
  // `f` holds a copy of the arguments.
  uint64_t bytes = args.positional.size() * sizeof(value);
  for (const auto& named : args.named) bytes += sizeof named + named.first.size();
  m.work(bytes);
  return m.make_object(std::make_shared<generator>(x, depth, std::move(f)), bytes);
}

generator::transform map_by_attribute(machine& m, args_t args) {
  const value* attribute = nullptr;
  const value* fallback = nullptr;
  for (const auto& [name, x] : args.named) {
    if (name != "attribute" && name != "default") fail("map takes no argument '" + name + "'");
    (name == "attribute" ? attribute : fallback) = &x;
  }
  return [path = attribute_path(m, attribute, false, fallback)](machine& mm, const value& x) {
    return std::optional(path.get(mm, x));
  };
}

/// The arguments behind the first `n`.
arguments rest_of(args_t args, size_t n) {
  arguments out = args;
  out.positional.erase(out.positional.begin(), out.positional.begin() + static_cast<ptrdiff_t>(n));
  return out;
}

value map(machine& m, const value& x, args_t args) {
  const bool has_attribute =
      std::any_of(args.named.begin(), args.named.end(),
                  [](const auto& named) { return named.first == "attribute"; });
  if (args.positional.empty() && has_attribute)
    return generate(m, x, args, map_by_attribute(m, args));
  if (args.positional.empty()) fail("map needs a filter's name or attribute=");
  const value name = args.positional[0];
  const builtin_filter* filter = find_filter(require_text(name, "map").bytes);
  return generate(m, x, args,
                  [filter, name, more = rest_of(args, 1)](machine& mm, const value& item) {
                    if (filter == nullptr) fail_unsupported("the filter '" + name.bytes() + "'");
                    return std::optional(filter->apply(mm, item, more));
                  });
}

/// select, reject and their attr twins.
template <bool wanted, bool by_attribute>
value select(machine& m, const value& x, args_t args) {
  constexpr size_t own = by_attribute ? 1 : 0;
  if (args.positional.size() < own) fail("selectattr and rejectattr need an attribute");
  const attribute_path path(m, by_attribute ? &args.positional[0] : nullptr, false);
  if (args.positional.size() == own) {
    return generate(m, x, args, [path](machine& mm, const value& item) -> std::optional<value> {
      if (is_truthy(path.get(mm, item)) != wanted) return std::nullopt;
      return item;
    });
  }
  const value name = args.positional[own];
  const builtin_test* test = find_test(require_text(name, "select").bytes);
  return generate(m, x, args,
                  [path, test, name, more = rest_of(args, own + 1)](
                      machine& mm, const value& item) -> std::optional<value> {
                    if (test == nullptr) fail_unsupported("the test '" + name.bytes() + "'");
                    if (test->holds(mm, path.get(mm, item), more) != wanted) return std::nullopt;
                    return item;
                  });
}

/// The keys that `unique` has met.
class seen_keys : public object, public std::enable_shared_from_this<seen_keys> {
public:
  const char* type_name() const override { return "set"; }
  void release() override { keys_ = mapping(); }

  /// False if it was there.
  bool add(machine& m, value key) {
    if (keys_.find(key, &m) != nullptr) return false;
    // A key can be another such generator and so on, for the destructors to follow.
    if (key.is(kind::object) || key.depth() > 0) keep(m);
    keys_.claim.add(m.claim(mapping::entry_bytes));
    keys_.set(std::move(key), none_type{}, &m);
    return true;
  }

private:
  void keep(machine& m) {
    if (!std::exchange(is_kept_, true)) m.keep_until_end(shared_from_this());
  }

  mapping keys_;
  bool is_kept_ = false;
};

value unique(machine& m, const value& x, args_t args) {
  const bound_arguments a("unique", args, {{"case_sensitive"}, {"attribute"}});
  const attribute_path path(m, a.get(1), !a.truthy(0, false));
  const auto seen = std::make_shared<seen_keys>();
  if (!try_iterate(m, x)) fail(std::string("a ") + x.type_name() + " cannot be iterated");
  return generate(m, x, args, [path, seen](machine& mm, const value& item) -> std::optional<value> {
    return seen->add(mm, path.get(mm, item)) ? std::optional(item) : std::nullopt;
  });
}

value items(machine& m, const value& x, args_t args) {
  bound_arguments("items", args, {});
  if (x.is_undefined()) return generate(m, x, args, {});
  if (!x.is(kind::mapping)) fail(std::string("items of a ") + x.type_name());
  const value view = m.make_object(std::make_shared<dict_view>(x, dict_part::items));
  return generate(m, view, args, [](machine&, const value& item) { return std::optional(item); });
}

value batch(machine& m, const value& x, args_t args) {
  const bound_arguments a("batch", args, {{"linecount", true}, {"fill_with"}});
  const int64_t n = a.integer(0, 0);
  std::vector<value> out, row;
  for (value& item : collect(m, x)) {
    if (static_cast<int64_t>(row.size()) == n) out.push_back(m.make_list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (const value* fill = a.unless_none(1)) {
      const uint64_t size = static_cast<uint64_t>(std::max<int64_t>(n, 0));
      m.check_count(size);
      m.step(size / 4);
      row.reserve(size);
      while (static_cast<int64_t>(row.size()) < n) row.push_back(*fill);
    }
    out.push_back(m.make_list(std::move(row)));
  }
  return m.make_object(iterate(m, m.make_list(std::move(out))));
}

value slice(machine& m, const value& x, args_t args) {
  const bound_arguments a("slice", args, {{"slices", true}, {"fill_with"}});
  const int64_t slices = a.integer(0, 0);
  const std::vector<value> all = collect(m, x);
  if (slices == 0) fail("slice: division by zero");
  m.step(static_cast<uint64_t>(std::max<int64_t>(slices, 0)));
  const auto n = static_cast<int64_t>(all.size());
  std::vector<value> out;
  auto from = all.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const bool is_longer = i < n % slices;
    const auto to = from + (n / slices + (is_longer ? 1 : 0));
    std::vector<value> part(from, to);
    if (const value* fill = a.unless_none(1); fill != nullptr && !is_longer) part.push_back(*fill);
    out.push_back(m.make_list(std::move(part)));
    from = to;
  }
  return m.make_object(iterate(m, m.make_list(std::move(out))));
}

const builtin_filter table[] = {
    {"attr", attribute},
    {"batch", batch},
    {"count", length},
    {"d", otherwise},
    {"default", otherwise},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"last", last},
    {"length", length},
    {"list", list},
    {"map", map},
    {"max", extreme<comparison::gt>},
    {"min", extreme<comparison::lt>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

std::span<const builtin_filter> sequence_filters() {
  return table;
}

}  // namespace llmos::jinja
