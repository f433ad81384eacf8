#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/text/jinja/memory.hpp"

namespace llmos::jinja {

class machine;
class object;
class value;

/// A Python str: UTF-8 with its length in code points. Immutable, as all payloads here.
struct text {
  std::string bytes;
  size_t length = 0;       ///< Code points.
  bool is_markup = false;  ///< Made by `escape` or `safe`: `+` escapes what is added to it.
  memory_claim claim;

  bool is_ascii() const { return length == bytes.size(); }
};

/// A Python list or tuple.
struct sequence {
  std::vector<value> items;
  bool is_tuple = false;
  uint32_t depth = 1;  ///< 1 + that of the deepest item.
  memory_claim claim;
};

/// A Python dict: unique hashable keys in the order of their first insertion.
class mapping {
public:
  using entry = std::pair<value, value>;
  /// Memory of an entry and its place in the index, roughly.
  static constexpr uint64_t entry_bytes = 112;

  const std::vector<entry>& entries() const { return entries_; }
  /// The value under `key`, or nullptr. Throws for keys that Python cannot hash. The work counts on
  /// `m` if it is given, here and below.
  const value* find(const value& key, machine* m) const;
  const value* find(std::string_view key, machine* m) const;
  /// Adds, or replaces the value under an equal key.
  void set(value key, value x, machine* m);

  uint32_t depth = 1;
  memory_claim claim;

private:
  static constexpr size_t linear_up_to = 16;  // Below, comparing keys beats hashing them.

  size_t position_of(const value& key, machine* m) const;  // entries_.size() if absent
  void index_new_entries(machine* m) const;

  std::vector<entry> entries_;
  // Ordered, so that keys of a hostile template cannot all fall into one bucket.
  mutable std::multimap<size_t, size_t> by_hash_;
};

/// Where an undefined value came from: the text of the error that its use raises.
struct undefined_origin {
  enum class source : uint8_t { name, attribute, element, forbidden, other };
  source from = source::other;
  std::string name;                 ///< The name, or the whole text for `other`.
  const char* type_name = nullptr;  ///< Type of the value that lacks `name`.
  memory_claim claim;

  std::string message() const;
};

struct none_type {};
/// An integer of 2^63 and more, as JSON schemas contain: it can be printed and compared only.
struct big_integer {
  uint64_t magnitude = 0;
};

enum class kind : uint8_t {
  missing,  ///< A variable that is not set; never the result of an expression.
  undefined,
  none,
  boolean,
  integer,
  big_integer,
  real,
  text,
  sequence,
  mapping,
  object,
};

/// A Python value. Copies share their payload.
class value {
public:
  value() = default;
  value(none_type x) : state_(x) {}
  value(bool x) : state_(x) {}
  value(int64_t x) : state_(x) {}
  value(big_integer x) : state_(x) {}
  value(double x) : state_(x) {}
  value(std::shared_ptr<const undefined_origin> x) : state_(std::move(x)) {}
  value(std::shared_ptr<const jinja::text> x) : state_(std::move(x)) {}
  value(std::shared_ptr<const jinja::sequence> x) : state_(std::move(x)) {}
  value(std::shared_ptr<const jinja::mapping> x) : state_(std::move(x)) {}
  value(std::shared_ptr<jinja::object> x) : state_(std::move(x)) {}

  jinja::kind kind() const { return static_cast<jinja::kind>(state_.index()); }
  bool is(jinja::kind k) const { return kind() == k; }
  bool is_none() const { return is(kind::none); }
  bool is_undefined() const { return is(kind::undefined); }
  bool is_text() const { return is(kind::text); }
  bool is_list() const { return is(kind::sequence) && !sequence().is_tuple; }
  bool is_tuple() const { return is(kind::sequence) && sequence().is_tuple; }

  /// REQUIRES for each: the kind of that name.
  bool boolean() const { return std::get<bool>(state_); }
  int64_t integer() const { return std::get<int64_t>(state_); }
  uint64_t big() const { return std::get<big_integer>(state_).magnitude; }
  double real() const { return std::get<double>(state_); }
  const undefined_origin& origin() const;
  const jinja::text& text() const { return *std::get<std::shared_ptr<const jinja::text>>(state_); }
  const std::string& bytes() const { return text().bytes; }
  const jinja::sequence& sequence() const {
    return *std::get<std::shared_ptr<const jinja::sequence>>(state_);
  }
  const std::vector<value>& items() const { return sequence().items; }
  const jinja::mapping& mapping() const {
    return *std::get<std::shared_ptr<const jinja::mapping>>(state_);
  }
  const std::shared_ptr<jinja::object>& object() const {
    return std::get<std::shared_ptr<jinja::object>>(state_);
  }
  /// The object if it is one of class T, else nullptr.
  template <class T>
  std::shared_ptr<T> as() const {
    return is(kind::object) ? std::dynamic_pointer_cast<T>(object()) : nullptr;
  }

  /// The integer of an int or a bool; nothing for other kinds.
  std::optional<int64_t> as_integer() const;
  /// Python's `is`: the same payload, or the same small constant.
  bool is_same_as(const value& other) const;
  /// Nesting of containers: 0 for scalars.
  uint32_t depth() const;
  /// Python's type name, for error texts: "str", "dict", …
  const char* type_name() const;

private:
  std::variant<std::monostate, std::shared_ptr<const undefined_origin>, none_type, bool, int64_t,
               big_integer, double, std::shared_ptr<const jinja::text>,
               std::shared_ptr<const jinja::sequence>, std::shared_ptr<const jinja::mapping>,
               std::shared_ptr<jinja::object>>
      state_;
};

/// Text outside any memory budget: constants of a program and short fixed words.
value constant_text(std::string bytes, bool is_markup = false);

}  // namespace llmos::jinja
