#pragma once

#include <concepts>
#include <optional>

namespace llmos {

/// a + b, or nothing when it does not fit T. For every size that comes from outside.
template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

/// a * b, or nothing when it does not fit T.
template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

/// Rounds `x` up to a multiple of `step`, or nothing on overflow. REQUIRES: step > 0.
template <std::unsigned_integral T>
constexpr std::optional<T> checked_round_up(T x, T step) {
  const T rest = x % step;
  return rest == 0 ? std::optional<T>{x} : checked_add<T>(x, step - rest);
}

/// Smallest n with n * step >= x. REQUIRES: step > 0.
template <std::unsigned_integral T>
constexpr T ceil_div(T x, T step) {
  return x / step + (x % step != 0 ? 1 : 0);
}

}  // namespace llmos
