#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/arguments.hpp"
#include "runtime/text/jinja/value.hpp"

namespace llmos::jinja {

class iterator;
class machine;

/// Every Python object that is not plain data: ranges, views, generators, macros, `loop`, methods.
class object {
public:
  virtual ~object() = default;

  /// Python's type name.
  virtual const char* type_name() const = 0;
  /// What str() prints. Default: unsupported, since Python would print an address.
  virtual std::string print(machine& m);
  virtual bool is_truthy() const { return true; }
  /// len(); nothing if the type has none.
  virtual std::optional<size_t> length(machine&) { return std::nullopt; }
  /// iter(); nullptr if it cannot be iterated.
  virtual std::shared_ptr<iterator> iterate(machine&) { return nullptr; }
  /// reversed(); nullptr if it cannot be.
  virtual std::shared_ptr<iterator> iterate_reversed(machine&) { return nullptr; }
  /// A public attribute; nothing if there is none of that name.
  virtual std::optional<value> attribute(machine&, std::string_view) { return std::nullopt; }
  /// x[key]; nothing where Python raises a LookupError or TypeError.
  virtual std::optional<value> item(machine&, const value&) { return std::nullopt; }
  virtual bool is_subscriptable() const { return false; }
  virtual bool is_callable() const { return false; }
  /// REQUIRES: is_callable().
  virtual value call(machine& m, arguments args);
  /// Drops what it holds, to break a cycle at the end of the render.
  virtual void release() {}
  /// Nesting of what it holds, as value::depth.
  virtual uint32_t depth() const { return 0; }

private:
  friend class machine;

  memory_claim claim_;
};

/// A function that is written in C++.
class native_function : public object {
public:
  using body = std::function<value(machine&, const arguments&)>;

  /// `depth`: nesting of what `f` holds.
  explicit native_function(body f, uint32_t depth = 0) : body_(std::move(f)), depth_(depth) {}

  const char* type_name() const override { return "function"; }
  bool is_callable() const override { return true; }
  value call(machine& m, arguments args) override { return body_(m, args); }
  uint32_t depth() const override { return depth_; }

private:
  body body_;
  uint32_t depth_;
};

/// A Python iterator: used up once.
class iterator : public object, public std::enable_shared_from_this<iterator> {
public:
  /// The next item, or nothing at the end; asked again it says nothing again.
  virtual std::optional<value> next(machine& m) = 0;

  const char* type_name() const override { return "generator"; }
  std::shared_ptr<iterator> iterate(machine&) override { return shared_from_this(); }
};

}  // namespace llmos::jinja
