#pragma once

#include <string>
#include <vector>

#include "runtime/text/jinja/ast.hpp"
#include "runtime/text/jinja/token_stream.hpp"

namespace llmos::jinja {

/// The expression half of the grammar: one method per level of precedence, loosest first.
class expression_parser {
public:
  explicit expression_parser(token_stream& s) : s_(s) {}

  /// Everything but commas. Without `with_conditional` an `if` ends it.
  expression parse(bool with_conditional = true);
  /// With commas: `1, 2` is a tuple.
  expression parse_tuple(bool with_conditional = true);
  /// |a|b(…) from the current '|' on; at once from a filter's name if `starts_inside`.
  std::vector<step> parse_filters(bool starts_inside);

private:
  expression parse_conditional(uint32_t line, expression yes);
  expression parse_or();
  expression parse_and();
  expression parse_not();
  expression parse_comparison();
  expression parse_sum();
  expression parse_concatenation();
  expression parse_product();
  expression parse_power();
  expression parse_unary(bool with_filters);
  expression parse_primary();
  expression parse_name();
  expression parse_string();
  expression parse_integer_literal();
  expression parse_parenthesized();
  expression parse_list();
  expression parse_dict();

  void parse_postfix(std::vector<step>& steps);
  void parse_filters_and_tests(std::vector<step>& steps);
  step parse_attribute();
  step parse_subscript();
  step parse_slice(uint32_t line, slice_step slice);
  step parse_call();
  step parse_filter();
  step parse_test();
  std::string parse_dotted_name();
  call_arguments parse_arguments();

  token_stream& s_;
};

}  // namespace llmos::jinja
