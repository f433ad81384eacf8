#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "runtime/base/check.hpp"
#include "runtime/base/error.hpp"

namespace llmos {

/// Either a value or a `failure`. Errors of the world travel in it; bugs are `LLMOS_CHECK`s.
template <class T>
class [[nodiscard]] result {
public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(failure error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// REQUIRES: ok().
  T& value() & { return check_ok(), std::get<0>(state_); }
  const T& value() const& { return check_ok(), std::get<0>(state_); }
  T&& value() && { return check_ok(), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// REQUIRES: !ok().
  const failure& error() const& { return std::get<1>(state_); }
  failure&& error() && { return std::get<1>(std::move(state_)); }

private:
  void check_ok() const { LLMOS_CHECK(ok()); }
  std::variant<T, failure> state_;
};

/// Success without a value, or a `failure`.
template <>
class [[nodiscard]] result<void> {
public:
  result() = default;
  result(failure error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  /// REQUIRES: !ok().
  const failure& error() const& { return *error_; }
  failure&& error() && { return std::move(*error_); }

private:
  std::optional<failure> error_;
};

}  // namespace llmos

#define LLMOS_CONCAT_(a, b) a##b
#define LLMOS_CONCAT(a, b) LLMOS_CONCAT_(a, b)

/// `LLMOS_TRY(auto x, f());` returns f's failure to the caller or binds its value to x.
#define LLMOS_TRY(decl, expr) LLMOS_TRY_(LLMOS_CONCAT(llmos_try_, __LINE__), decl, expr)
#define LLMOS_TRY_(tmp, decl, expr)             \
  auto tmp = (expr);                            \
  if (!tmp.ok()) return std::move(tmp).error(); \
  decl = std::move(tmp).value()

/// `LLMOS_TRY_VOID(f());` returns f's failure to the caller or goes on.
#define LLMOS_TRY_VOID(expr)                                    \
  if (auto llmos_try_result = (expr); !llmos_try_result.ok()) { \
    return std::move(llmos_try_result).error();                 \
  }
