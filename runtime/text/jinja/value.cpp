#include "runtime/text/jinja/value.hpp"

#include <algorithm>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/object.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

std::string undefined_origin::message() const {
  const std::string owner = type_name != nullptr ? type_name : "";
  switch (from) {
    case source::name: return "'" + name + "' is undefined";
    case source::attribute: return "this " + owner + " has no attribute '" + name + "'";
    case source::element: return "this " + owner + " has no element " + name;
    case source::forbidden: return "the sandbox forbids '" + name + "' of a " + owner;
    case source::other: return name;
  }
  return name;
}

const undefined_origin& value::origin() const {
  return *std::get<std::shared_ptr<const undefined_origin>>(state_);
}

std::optional<int64_t> value::as_integer() const {
  if (is(kind::integer)) return integer();
  if (is(kind::boolean)) return boolean() ? 1 : 0;
  return std::nullopt;
}

bool value::is_same_as(const value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case kind::none: return true;
    case kind::boolean: return boolean() == other.boolean();
    // CPython shares the integers from -5 to 256.
    case kind::integer: return integer() == other.integer() && integer() >= -5 && integer() <= 256;
    case kind::text: return &text() == &other.text();
    case kind::sequence: return &sequence() == &other.sequence();
    case kind::mapping: return &mapping() == &other.mapping();
    case kind::object: return object() == other.object();
    default: return false;
  }
}

uint32_t value::depth() const {
  switch (kind()) {
    case kind::sequence: return sequence().depth;
    case kind::mapping: return mapping().depth;
    case kind::object: return object()->depth();
    default: return 0;
  }
}

const char* value::type_name() const {
  switch (kind()) {
    case kind::missing:
    case kind::undefined: return "Undefined";
    case kind::none: return "NoneType";
    case kind::boolean: return "bool";
    case kind::integer:
    case kind::big_integer: return "int";
    case kind::real: return "float";
    case kind::text: return text().is_markup ? "Markup" : "str";
    case kind::sequence: return is_tuple() ? "tuple" : "list";
    case kind::mapping: return "dict";
    case kind::object: return object()->type_name();
  }
  return "";
}

value constant_text(std::string bytes, bool is_markup) {
  auto out = std::make_shared<text>();
  out->length = count_code_points(bytes);
  out->bytes = std::move(bytes);
  out->is_markup = is_markup;
  return value(std::shared_ptr<const text>(std::move(out)));
}

const value* mapping::find(std::string_view key, machine* m) const {
  if (entries_.size() > linear_up_to) return find(constant_text(std::string(key)), m);
  for (const auto& [k, x] : entries_) {
    if (k.is_text() && k.bytes() == key) return &x;
  }
  return nullptr;
}

const value* mapping::find(const value& key, machine* m) const {
  const size_t at = position_of(key, m);
  return at < entries_.size() ? &entries_[at].second : nullptr;
}

size_t mapping::position_of(const value& key, machine* m) const {
  const size_t h = hash_of(key, m);  // also refuses what cannot be a key
  if (entries_.size() <= linear_up_to) {
    const auto it = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const entry& e) { return equal(e.first, key, m); });
    return static_cast<size_t>(it - entries_.begin());
  }
  index_new_entries(m);
  const auto [first, last] = by_hash_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    if (equal(entries_[it->second].first, key, m)) return it->second;
  }
  return entries_.size();
}

void mapping::index_new_entries(machine* m) const {
  for (size_t i = by_hash_.size(); i < entries_.size(); ++i) {
    if (m != nullptr) m->step(4);
    by_hash_.emplace(hash_of(entries_[i].first, m), i);
  }
}

void mapping::set(value key, value x, machine* m) {
  depth = std::max({depth, x.depth() + 1, key.depth() + 1});
  const size_t at = position_of(key, m);
  if (at < entries_.size()) {
    entries_[at].second = std::move(x);
  } else {
    entries_.emplace_back(std::move(key), std::move(x));
  }
}

}  // namespace llmos::jinja
