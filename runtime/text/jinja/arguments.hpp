#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/value.hpp"

namespace llmos::jinja {

/// What a call passes: f(a, b, name=c).
struct arguments {
  std::vector<value> positional;
  std::vector<std::pair<std::string, value>> named;

  bool empty() const { return positional.empty() && named.empty(); }
};

/// Arguments matched with a Python signature. Throws where Python raises a TypeError.
class bound_arguments {
public:
  struct parameter {
    const char* name;  ///< nullptr: cannot be passed by name.
    bool required = false;
  };

  /// `callee` is for error texts. Lives no longer than `args`.
  bound_arguments(const char* callee, const arguments& args,
                  std::initializer_list<parameter> parameters);

  /// The value of parameter i, or nullptr if it was not passed.
  const value* get(size_t i) const { return values_[i]; }
  const value& operator[](size_t i) const { return *values_[i]; }

  /// Shapes that most builtins need; `otherwise` stands for a parameter that was not passed.
  bool truthy(size_t i, bool otherwise) const;
  int64_t integer(size_t i, int64_t otherwise) const;
  /// Nothing for None or not passed.
  const value* unless_none(size_t i) const;
  /// REQUIRES: passed. Throws unless it is a str.
  const jinja::text& text(size_t i) const;

private:
  const char* callee_;
  std::vector<const value*> values_;
};

/// An int for an index, width or count; throws naming `what` otherwise.
int64_t require_integer(const value& x, const char* what);
/// Throws unless `x` is a str.
const text& require_text(const value& x, const char* what);

}  // namespace llmos::jinja
