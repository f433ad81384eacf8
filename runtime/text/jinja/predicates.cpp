// The tests behind `is`.

#include <algorithm>
#include <string_view>

#include "runtime/text/jinja/builtins.hpp"
#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/filters.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/methods.hpp"
#include "runtime/text/jinja/operators.hpp"
#include "runtime/text/jinja/print.hpp"

namespace llmos::jinja {

namespace {

using args_t = const arguments&;

bool is_number(const value& x) {
  return x.is(kind::boolean) || x.is(kind::integer) || x.is(kind::big_integer) || x.is(kind::real);
}

bool is_integer(const value& x) {
  return x.is(kind::integer) || x.is(kind::big_integer);
}
bool is_real(const value& x) {
  return x.is(kind::real);
}
bool is_boolean(const value& x) {
  return x.is(kind::boolean);
}
bool is_true(const value& x) {
  return x.is(kind::boolean) && x.boolean();
}
bool is_false(const value& x) {
  return x.is(kind::boolean) && !x.boolean();
}
bool is_none(const value& x) {
  return x.is_none();
}
bool is_defined(const value& x) {
  return !x.is_undefined();
}
bool is_undefined(const value& x) {
  return x.is_undefined();
}
bool is_string(const value& x) {
  return x.is_text();
}
bool is_mapping(const value& x) {
  return x.is(kind::mapping);
}
bool is_escaped(const value& x) {
  return x.is_text() && x.text().is_markup;
}

/// Python's class of undefined values has both len() and x[…].
bool is_sequence(const value& x) {
  if (x.is(kind::object)) return x.object()->is_subscriptable();
  return x.is_text() || x.is(kind::sequence) || x.is(kind::mapping) || x.is_undefined();
}

bool is_callable(const value& x) {
  return x.is_undefined() || (x.is(kind::object) && x.object()->is_callable());
}

template <bool (*holds)(const value&)>
bool simple(machine&, const value& x, args_t args) {
  bound_arguments("this test", args, {});
  return holds(x);
}

bool is_iterable(machine& m, const value& x, args_t args) {
  bound_arguments("iterable", args, {});
  return try_iterate(m, x) != nullptr;
}

template <comparison op>
bool compares(machine& m, const value& x, args_t args) {
  const bound_arguments a("this test", args, {{nullptr, true}});
  return compare(m, op, x, a[0]);
}

bool has_remainder(machine& m, const value& x, const value& divisor, int64_t rest) {
  return equal(calculate(m, arithmetic::modulo, x, divisor), value(rest));
}

template <int64_t rest>
bool is_parity(machine& m, const value& x, args_t args) {
  bound_arguments("this test", args, {});
  return has_remainder(m, x, value(int64_t{2}), rest);
}

bool is_divisible(machine& m, const value& x, args_t args) {
  const bound_arguments a("divisibleby", args, {{"num", true}});
  return has_remainder(m, x, a[0], 0);
}

bool is_same(machine&, const value& x, args_t args) {
  const bound_arguments a("sameas", args, {{"other", true}});
  return x.is_same_as(a[0]);
}

bool is_lower_case(machine& m, const value& x, args_t args) {
  return find_text_method("islower")->call(m, to_str_value(m, x), args).boolean();
}

bool is_upper_case(machine& m, const value& x, args_t args) {
  return find_text_method("isupper")->call(m, to_str_value(m, x), args).boolean();
}

bool names_filter(machine&, const value& x, args_t args) {
  bound_arguments("filter", args, {});
  return x.is_text() && find_filter(x.bytes()) != nullptr;
}

bool names_test(machine&, const value& x, args_t args) {
  bound_arguments("test", args, {});
  return x.is_text() && find_test(x.bytes()) != nullptr;
}

const builtin_test table[] = {
    {"!=", compares<comparison::ne>},
    {"<", compares<comparison::lt>},
    {"<=", compares<comparison::le>},
    {"==", compares<comparison::eq>},
    {">", compares<comparison::gt>},
    {">=", compares<comparison::ge>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", is_divisible},
    {"eq", compares<comparison::eq>},
    {"equalto", compares<comparison::eq>},
    {"escaped", simple<is_escaped>},
    {"even", is_parity<0>},
    {"false", simple<is_false>},
    {"filter", names_filter},
    {"float", simple<is_real>},
    {"ge", compares<comparison::ge>},
    {"greaterthan", compares<comparison::gt>},
    {"gt", compares<comparison::gt>},
    {"in", compares<comparison::in>},
    {"integer", simple<is_integer>},
    {"iterable", is_iterable},
    {"le", compares<comparison::le>},
    {"lessthan", compares<comparison::lt>},
    {"lower", is_lower_case},
    {"lt", compares<comparison::lt>},
    {"mapping", simple<is_mapping>},
    {"ne", compares<comparison::ne>},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", is_parity<1>},
    {"sameas", is_same},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", names_test},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", is_upper_case},
};

}  // namespace

const builtin_test* find_test(std::string_view name) {
  const auto* it = std::find_if(std::begin(table), std::end(table),
                                [name](const builtin_test& t) { return t.name == name; });
  return it != std::end(table) ? it : nullptr;
}

}  // namespace llmos::jinja
