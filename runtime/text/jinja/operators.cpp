#include "runtime/text/jinja/operators.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/print.hpp"

namespace llmos::jinja {

namespace {

const char* symbol(arithmetic op) {
  switch (op) {
    case arithmetic::add: return "+";
    case arithmetic::subtract: return "-";
    case arithmetic::multiply: return "*";
    case arithmetic::divide: return "/";
    case arithmetic::floor_divide: return "//";
    case arithmetic::modulo: return "%";
    case arithmetic::power: return "**";
  }
  return "?";
}

[[noreturn]] void fail_overflow() {
  fail_unsupported("an integer result that needs more than 64 bits");
}

[[noreturn]] void fail_types(arithmetic op, const value& a, const value& b) {
  for (const value* x : {&a, &b}) {
    if (x->is_undefined()) fail(x->origin().message());
    if (x->is(kind::big_integer)) fail_overflow();
  }
  fail(std::string("'") + symbol(op) + "' is not possible between " + a.type_name() + " and " +
       b.type_name());
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) fail_overflow();
  const int64_t q = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? q - 1 : q;
}

int64_t floor_modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

double floor_modulo(double a, double b) {
  const double r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

double floor_divide(double a, double b) {
  const double r = std::fmod(a, b);
  double q = (a - r) / b;
  if (r != 0 && (r < 0) != (b < 0)) q -= 1;
  if (q == 0) return std::copysign(0.0, a / b);
  const double down = std::floor(q);
  return q - down > 0.5 ? down + 1 : down;
}

value power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0 to a negative power");
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  int64_t out = 1;
  if (base == 0 || base == 1 || base == -1) {
    if (exponent > 0) out = base == -1 && exponent % 2 == 0 ? 1 : base;
    return out;
  }
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(out, base, &out)) fail_overflow();
  }
  return out;
}

value power(double base, double exponent) {
  if (base == 0 && exponent < 0) fail("0.0 to a negative power");
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) &&
      std::floor(exponent) != exponent) {
    fail_unsupported("a complex result of '**'");
  }
  const double out = std::pow(base, exponent);
  if (std::isinf(out) && std::isfinite(base) && std::isfinite(exponent)) {
    fail("a result of '**' is too large for a float");
  }
  return out;
}

value calculate_integers(arithmetic op, int64_t a, int64_t b) {
  int64_t out = 0;
  const bool divides =
      op == arithmetic::divide || op == arithmetic::floor_divide || op == arithmetic::modulo;
  if (divides && b == 0) fail("division by zero");
  switch (op) {
    case arithmetic::add:
      if (__builtin_add_overflow(a, b, &out)) fail_overflow();
      return out;
    case arithmetic::subtract:
      if (__builtin_sub_overflow(a, b, &out)) fail_overflow();
      return out;
    case arithmetic::multiply:
      if (__builtin_mul_overflow(a, b, &out)) fail_overflow();
      return out;
    case arithmetic::divide:
      return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
    case arithmetic::floor_divide: return floor_divide(a, b);
    case arithmetic::modulo: return floor_modulo(a, b);
    case arithmetic::power: return power(a, b);
  }
  return out;
}

value calculate_reals(arithmetic op, double a, double b) {
  const bool divides =
      op == arithmetic::divide || op == arithmetic::floor_divide || op == arithmetic::modulo;
  if (divides && b == 0) fail("division by zero");
  switch (op) {
    case arithmetic::add: return a + b;
    case arithmetic::subtract: return a - b;
    case arithmetic::multiply: return a * b;
    case arithmetic::divide: return a / b;
    case arithmetic::floor_divide: return floor_divide(a, b);
    case arithmetic::modulo: return floor_modulo(a, b);
    case arithmetic::power: return power(a, b);
  }
  return 0.0;
}

std::optional<double> as_real(const value& x) {
  if (x.is(kind::real)) return x.real();
  if (const auto i = x.as_integer()) return static_cast<double>(*i);
  return std::nullopt;
}

value add_texts(machine& m, const text& a, const text& b) {
  m.check_length(a.bytes.size() + b.bytes.size());
  if (a.is_markup == b.is_markup) return m.make_text(a.bytes + b.bytes, a.is_markup);
  return m.make_text((a.is_markup ? a.bytes : escape_html(m, a.bytes)) +
                         (b.is_markup ? b.bytes : escape_html(m, b.bytes)),
                     true);
}

value add_sequences(machine& m, const value& a, const value& b) {
  m.check_count(a.items().size() + b.items().size());
  std::vector<value> items;
  items.reserve(a.items().size() + b.items().size());
  items.insert(items.end(), a.items().begin(), a.items().end());
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is_tuple() ? m.make_tuple(std::move(items)) : m.make_list(std::move(items));
}

value repeat_text(machine& m, const text& s, int64_t n) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(n, 0));
  uint64_t size = 0;
  if (__builtin_mul_overflow(times, s.bytes.size(), &size)) size = UINT64_MAX;
  m.check_length(size);
  std::string out;
  out.reserve(size);
  if (!s.bytes.empty()) {
    while (out.size() < size) out += s.bytes;
  }
  return m.make_text(std::move(out), s.is_markup);
}

value repeat_sequence(machine& m, const value& x, int64_t n) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(n, 0));
  uint64_t size = 0;
  if (__builtin_mul_overflow(times, x.items().size(), &size)) size = UINT64_MAX;
  m.check_count(size);
  std::vector<value> items;
  items.reserve(size);
  while (items.size() < size) items.insert(items.end(), x.items().begin(), x.items().end());
  return x.is_tuple() ? m.make_tuple(std::move(items)) : m.make_list(std::move(items));
}

/// 'ab' * 3 and 3 * 'ab', lists alike; nothing if it is not that.
std::optional<value> repeat(machine& m, const value& a, const value& b) {
  for (const auto& [x, times] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const auto n = times->as_integer();
    if (!n) continue;
    if (x->is_text()) return repeat_text(m, x->text(), *n);
    if (x->is(kind::sequence)) return repeat_sequence(m, *x, *n);
  }
  return std::nullopt;
}

/// The operators on containers; nothing if op does not apply.
std::optional<value> combine(machine& m, arithmetic op, const value& a, const value& b) {
  if (op == arithmetic::modulo && a.is_text()) return format_percent(m, a, b);
  if (op == arithmetic::multiply) return repeat(m, a, b);
  if (op != arithmetic::add) return std::nullopt;
  if (a.is_text() && b.is_text()) return add_texts(m, a.text(), b.text());
  const bool are_alike =
      a.is(kind::sequence) && b.is(kind::sequence) && a.is_tuple() == b.is_tuple();
  if (are_alike) return add_sequences(m, a, b);
  return std::nullopt;
}

}  // namespace

value calculate(machine& m, arithmetic op, const value& a, const value& b) {
  m.step();
  const auto i = a.as_integer(), j = b.as_integer();
  if (i && j) return calculate_integers(op, *i, *j);
  const auto x = as_real(a), y = as_real(b);
  if (x && y) return calculate_reals(op, *x, *y);
  if (auto out = combine(m, op, a, b)) return *std::move(out);
  fail_types(op, a, b);
}

value negate(const value& x) {
  if (x.is(kind::real)) return -x.real();
  return calculate_integers(arithmetic::subtract, 0, *affirm(x).as_integer());
}

value affirm(const value& x) {
  if (x.is(kind::real)) return x;
  if (const auto i = x.as_integer()) return *i;
  if (x.is_undefined()) fail(x.origin().message());
  if (x.is(kind::big_integer)) fail_overflow();
  fail(std::string("a ") + x.type_name() + " has no sign");
}

}  // namespace llmos::jinja
