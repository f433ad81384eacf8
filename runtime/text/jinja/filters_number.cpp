#include <cmath>
#include <optional>
#include <string>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/filters.hpp"
#include "runtime/text/jinja/numbers.hpp"
#include "runtime/text/jinja/operators.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;

value absolute(machine&, const value& x, args_t args) {
  bound_arguments("abs", args, {});
  if (x.is(kind::real)) return std::fabs(x.real());
  const value positive = affirm(x);
  return positive.integer() < 0 ? negate(positive) : positive;
}

/// int(float(x)), or nothing where Python's quirk gives the default.
std::optional<value> integer_by_float(const value& x) {
  const std::optional<double> d = x.is_text()        ? parse_float(x.bytes())
                                  : x.is(kind::real) ? std::optional(x.real())
                                                     : std::nullopt;
  if (!d || !std::isfinite(*d)) return std::nullopt;
  return value(truncate_to_integer(*d));
}

value to_integer(machine& m, const value& x, args_t args) {
  const bound_arguments a("int", args, {{"default"}, {"base"}});
  const value otherwise = a.get(0) != nullptr ? a[0] : value(int64_t{0});
  const int64_t base = a.integer(1, 10);
  if (x.is_text()) m.scan(2 * x.bytes().size());  // as an int, then as a float
  if (x.is_undefined()) fail(x.origin().message());
  if (x.is(kind::big_integer)) return x;
  if (const auto i = x.as_integer()) return *i;
  if (x.is(kind::real) && !std::isnan(x.real())) return truncate_to_integer(x.real());
  const bool is_base = base == 0 || (base >= 2 && base <= 36);
  if (x.is_text() && is_base) {
    if (const auto i = parse_integer(x.bytes(), static_cast<int>(base))) return *i;
  }
  return integer_by_float(x).value_or(otherwise);
}

value to_real(machine& m, const value& x, args_t args) {
  const bound_arguments a("float", args, {{"default"}});
  const value otherwise = a.get(0) != nullptr ? a[0] : value(0.0);
  if (x.is_undefined()) fail(x.origin().message());
  if (x.is(kind::real)) return x;
  if (x.is(kind::big_integer)) return static_cast<double>(x.big());
  if (const auto i = x.as_integer()) return static_cast<double>(*i);
  if (x.is_text()) m.scan(x.bytes().size());
  const auto d = x.is_text() ? parse_float(x.bytes()) : std::nullopt;
  return d ? value(*d) : otherwise;
}

/// math.ceil or math.floor of an int or float.
value to_whole(const value& x, bool up) {
  if (!x.is(kind::real)) return x;
  return truncate_to_integer(up ? std::ceil(x.real()) : std::floor(x.real()));
}

value round(machine& m, const value& x, args_t args) {
  const bound_arguments a("round", args, {{"precision"}, {"method"}});
  const int64_t precision = a.integer(0, 0);
  const std::string method = a.get(1) != nullptr ? a.text(1).bytes : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("round knows the methods common, ceil and floor");
  }
  const value number = affirm(x);
  if (method == "common") {
    if (number.is(kind::real)) return round_half_even(number.real(), precision);
    return round_half_even(number.integer(), precision);
  }
  const value scale = calculate(m, arithmetic::power, value(int64_t{10}), value(precision));
  const value scaled = calculate(m, arithmetic::multiply, number, scale);
  return calculate(m, arithmetic::divide, to_whole(scaled, method == "ceil"), scale);
}

const builtin_filter table[] = {
    {"abs", absolute}, {"float", to_real}, {"int", to_integer}, {"round", round}};

}  // namespace

std::span<const builtin_filter> number_filters() {
  return table;
}

}  // namespace llmos::jinja
