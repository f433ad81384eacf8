#include "runtime/text/jinja/expression_parser.hpp"

#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/numbers.hpp"

namespace llmos::jinja {

namespace {

expression_ptr boxed(expression x) {
  return std::make_unique<expression>(std::move(x));
}

/// One operator of a level.
template <class Op>
struct operator_row {
  const char* text;
  Op op;
};

template <class Op, size_t n>
std::optional<Op> match(const token& t, const operator_row<Op> (&rows)[n]) {
  for (const auto& row : rows) {
    if (t.is_op(row.text)) return row.op;
  }
  return std::nullopt;
}

}  // namespace

expression expression_parser::parse(bool with_conditional) {
  const token_stream::nesting level(s_);
  const uint32_t line = s_.current().line;
  expression x = parse_or();
  if (!with_conditional) return x;
  return parse_conditional(line, std::move(x));
}

/// `yes if a if b …`: an `if` without `else` is what the next one chooses, one level deeper.
expression expression_parser::parse_conditional(uint32_t line, expression yes) {
  if (!s_.skip_name("if")) return yes;
  conditional c;
  c.yes = boxed(std::move(yes));
  c.condition = boxed(parse_or());
  if (s_.skip_name("else")) {
    c.no = boxed(parse());
    return {line, std::move(c)};
  }
  const token_stream::nesting level(s_);
  return parse_conditional(line, {line, std::move(c)});
}

expression expression_parser::parse_tuple(bool with_conditional) {
  const uint32_t line = s_.current().line;
  const auto at_end = [&] {
    const token& t = s_.current();
    return t.is(token_kind::variable_end) || t.is(token_kind::block_end) || t.is_op(")");
  };
  list_literal tuple;
  tuple.is_tuple = true;
  if (at_end()) s_.fail_here("expected an expression, got " + describe(s_.current()));
  expression first = parse(with_conditional);
  if (!s_.current().is_op(",")) return first;
  tuple.items.push_back(std::move(first));
  while (s_.skip_op(",") && !at_end()) tuple.items.push_back(parse(with_conditional));
  return {line, std::move(tuple)};
}

expression expression_parser::parse_or() {
  const uint32_t line = s_.current().line;
  expression first = parse_and();
  if (!s_.current().is_name("or")) return first;
  logic_chain out{false, {}};
  out.items.push_back(std::move(first));
  while (s_.skip_name("or")) out.items.push_back(parse_and());
  return {line, std::move(out)};
}

expression expression_parser::parse_and() {
  const uint32_t line = s_.current().line;
  expression first = parse_not();
  if (!s_.current().is_name("and")) return first;
  logic_chain out{true, {}};
  out.items.push_back(std::move(first));
  while (s_.skip_name("and")) out.items.push_back(parse_not());
  return {line, std::move(out)};
}

expression expression_parser::parse_not() {
  const uint32_t line = s_.current().line;
  if (!s_.skip_name("not")) return parse_comparison();
  const token_stream::nesting level(s_);
  return {line, unary{unary_operator::invert, boxed(parse_not())}};
}

expression expression_parser::parse_comparison() {
  static constexpr operator_row<comparison> rows[] = {
      {"==", comparison::eq}, {"!=", comparison::ne}, {"<", comparison::lt},
      {"<=", comparison::le}, {">", comparison::gt},  {">=", comparison::ge}};
  const uint32_t line = s_.current().line;
  expression first = parse_sum();
  comparison_chain out;
  while (true) {
    std::optional<comparison> op = match(s_.current(), rows);
    if (s_.current().is_name("in")) op = comparison::in;
    if (s_.current().is_name("not") && s_.look().is_name("in")) {
      op = comparison::not_in;
      s_.take();
    }
    if (!op) break;
    s_.take();
    out.rest.push_back({*op, parse_sum()});
  }
  if (out.rest.empty()) return first;
  out.first = boxed(std::move(first));
  return {line, std::move(out)};
}

expression expression_parser::parse_sum() {
  static constexpr operator_row<arithmetic> rows[] = {{"+", arithmetic::add},
                                                      {"-", arithmetic::subtract}};
  const uint32_t line = s_.current().line;
  expression first = parse_concatenation();
  arithmetic_chain out;
  while (const auto op = match(s_.current(), rows)) {
    s_.take();
    out.rest.push_back({*op, parse_concatenation()});
  }
  if (out.rest.empty()) return first;
  out.first = boxed(std::move(first));
  return {line, std::move(out)};
}

expression expression_parser::parse_concatenation() {
  const uint32_t line = s_.current().line;
  expression first = parse_product();
  if (!s_.current().is_op("~")) return first;
  concatenation out;
  out.items.push_back(std::move(first));
  while (s_.skip_op("~")) out.items.push_back(parse_product());
  return {line, std::move(out)};
}

expression expression_parser::parse_product() {
  static constexpr operator_row<arithmetic> rows[] = {{"*", arithmetic::multiply},
                                                      {"/", arithmetic::divide},
                                                      {"//", arithmetic::floor_divide},
                                                      {"%", arithmetic::modulo}};
  const uint32_t line = s_.current().line;
  expression first = parse_power();
  arithmetic_chain out;
  while (const auto op = match(s_.current(), rows)) {
    s_.take();
    out.rest.push_back({*op, parse_power()});
  }
  if (out.rest.empty()) return first;
  out.first = boxed(std::move(first));
  return {line, std::move(out)};
}

// Jinja's ** joins from the left, unlike Python's.
expression expression_parser::parse_power() {
  const uint32_t line = s_.current().line;
  expression first = parse_unary(true);
  arithmetic_chain out;
  while (s_.skip_op("**")) out.rest.push_back({arithmetic::power, parse_unary(true)});
  if (out.rest.empty()) return first;
  out.first = boxed(std::move(first));
  return {line, std::move(out)};
}

expression expression_parser::parse_unary(bool with_filters) {
  const token_stream::nesting level(s_);
  const uint32_t line = s_.current().line;
  const bool is_minus = s_.current().is_op("-");
  expression base;
  if (is_minus || s_.current().is_op("+")) {
    s_.take();
    const auto op = is_minus ? unary_operator::negate : unary_operator::affirm;
    base = {line, unary{op, boxed(parse_unary(false))}};
  } else {
    base = parse_primary();
  }
  postfix_chain out;
  parse_postfix(out.steps);
  if (with_filters) parse_filters_and_tests(out.steps);
  if (out.steps.empty()) return base;
  out.base = boxed(std::move(base));
  return {line, std::move(out)};
}

expression expression_parser::parse_primary() {
  const token& t = s_.current();
  switch (t.kind) {
    case token_kind::name: return parse_name();
    case token_kind::string: return parse_string();
    case token_kind::integer: return parse_integer_literal();
    case token_kind::real: {
      const uint32_t line = t.line;
      return {line, constant{value(*parse_float(s_.take().text))}};
    }
    default: break;
  }
  if (t.is_op("(")) return parse_parenthesized();
  if (t.is_op("[")) return parse_list();
  if (t.is_op("{")) return parse_dict();
  s_.fail_here("unexpected " + describe(t));
}

expression expression_parser::parse_name() {
  const token& t = s_.take();
  const std::string& s = t.text;
  if (s == "true" || s == "True") return {t.line, constant{value(true)}};
  if (s == "false" || s == "False") return {t.line, constant{value(false)}};
  if (s == "none" || s == "None") return {t.line, constant{value(none_type{})}};
  return {t.line, variable{s, {}}};
}

expression expression_parser::parse_string() {
  const uint32_t line = s_.current().line;
  std::string joined = s_.take().text;
  while (s_.current().is(token_kind::string)) joined += s_.take().text;
  return {line, constant{constant_text(std::move(joined))}};
}

expression expression_parser::parse_integer_literal() {
  const token& t = s_.take();
  try {
    return {t.line, constant{value(*parse_integer(t.text, 0))}};
  } catch (fault& f) {  // more than 64 bits: say where
    f.line = t.line;
    f.column = t.column;
    throw;
  }
}

expression expression_parser::parse_parenthesized() {
  const uint32_t line = s_.take().line;
  if (s_.skip_op(")")) return {line, list_literal{{}, true}};
  expression x = parse_tuple();
  s_.expect_op(")");
  return x;
}

expression expression_parser::parse_list() {
  const uint32_t line = s_.take().line;
  list_literal out;
  while (!s_.current().is_op("]")) {
    if (!out.items.empty()) s_.expect_op(",");
    if (s_.current().is_op("]")) break;
    out.items.push_back(parse());
  }
  s_.expect_op("]");
  return {line, std::move(out)};
}

expression expression_parser::parse_dict() {
  const uint32_t line = s_.take().line;
  dict_literal out;
  while (!s_.current().is_op("}")) {
    if (!out.entries.empty()) s_.expect_op(",");
    if (s_.current().is_op("}")) break;
    expression key = parse();
    s_.expect_op(":");
    out.entries.push_back({std::move(key), parse()});
  }
  s_.expect_op("}");
  return {line, std::move(out)};
}

void expression_parser::parse_postfix(std::vector<step>& steps) {
  while (true) {
    const token& t = s_.current();
    if (t.is_op(".")) {
      steps.push_back(parse_attribute());
    } else if (t.is_op("[")) {
      steps.push_back(parse_subscript());
    } else if (t.is_op("(")) {
      steps.push_back(parse_call());
    } else {
      return;
    }
  }
}

void expression_parser::parse_filters_and_tests(std::vector<step>& steps) {
  while (true) {
    const token& t = s_.current();
    if (t.is_op("|")) {
      s_.take();
      steps.push_back(parse_filter());
    } else if (t.is_name("is")) {
      steps.push_back(parse_test());
    } else if (t.is_op("(")) {
      steps.push_back(parse_call());
    } else {
      return;
    }
  }
}

step expression_parser::parse_attribute() {
  const uint32_t line = s_.take().line;
  const token& t = s_.current();
  if (t.is(token_kind::name)) return {line, attribute_step{s_.take().text}};
  if (!t.is(token_kind::integer)) s_.fail_here("expected a name or a number, got " + describe(t));
  return {line, item_step{boxed(parse_integer_literal())}};
}

step expression_parser::parse_subscript() {
  const uint32_t line = s_.take().line;
  if (s_.current().is_op("]")) {
    s_.take();
    return {line, item_step{boxed({line, list_literal{{}, true}})}};
  }
  slice_step slice;
  if (!s_.current().is_op(":")) slice.start = boxed(parse());
  if (s_.current().is_op(":")) return parse_slice(line, std::move(slice));
  if (!s_.current().is_op(",")) {
    s_.expect_op("]");
    return {line, item_step{std::move(slice.start)}};
  }
  list_literal key{{}, true};
  key.items.push_back(std::move(*slice.start));
  while (s_.skip_op(",")) key.items.push_back(parse());
  s_.expect_op("]");
  return {line, item_step{boxed({line, std::move(key)})}};
}

/// From the first ':' on.
step expression_parser::parse_slice(uint32_t line, slice_step slice) {
  const auto at_bound = [this] {
    const token& t = s_.current();
    return !t.is_op(":") && !t.is_op("]") && !t.is_op(",");
  };
  s_.expect_op(":");
  if (at_bound()) slice.stop = boxed(parse());
  if (s_.skip_op(":") && at_bound()) slice.step = boxed(parse());
  if (s_.current().is_op(",")) s_.fail_unsupported_at(s_.current(), "a slice with a comma");
  s_.expect_op("]");
  return {line, std::move(slice)};
}

step expression_parser::parse_call() {
  const uint32_t line = s_.current().line;
  return {line, call_step{parse_arguments()}};
}

std::string expression_parser::parse_dotted_name() {
  std::string out = s_.expect(token_kind::name).text;
  while (s_.skip_op(".")) out += "." + s_.expect(token_kind::name).text;
  return out;
}

step expression_parser::parse_filter() {
  const uint32_t line = s_.current().line;
  filter_step out;
  out.name = parse_dotted_name();
  out.filter = find_filter(out.name);
  if (s_.current().is_op("(")) out.args = parse_arguments();
  return {line, std::move(out)};
}

std::vector<step> expression_parser::parse_filters(bool starts_inside) {
  std::vector<step> out;
  if (starts_inside) out.push_back(parse_filter());
  while (s_.skip_op("|")) out.push_back(parse_filter());
  return out;
}

step expression_parser::parse_test() {
  const uint32_t line = s_.take().line;
  test_step out;
  out.is_negated = s_.skip_name("not");
  out.name = parse_dotted_name();
  out.test = find_test(out.name);
  const token& t = s_.current();
  if (t.is_op("(")) {
    out.args = parse_arguments();
    return {line, std::move(out)};
  }
  const bool is_operand = t.is(token_kind::name) || t.is(token_kind::string) ||
                          t.is(token_kind::integer) || t.is(token_kind::real) || t.is_op("[") ||
                          t.is_op("{");
  if (is_operand && !t.is_name("else") && !t.is_name("or") && !t.is_name("and")) {
    if (t.is_name("is")) s_.fail_here("tests cannot be chained with 'is'");
    const uint32_t operand_line = t.line;
    postfix_chain operand;
    operand.base = boxed(parse_primary());
    parse_postfix(operand.steps);
    out.args.positional.push_back(operand.steps.empty()
                                      ? std::move(*operand.base)
                                      : expression{operand_line, std::move(operand)});
  }
  return {line, std::move(out)};
}

call_arguments expression_parser::parse_arguments() {
  const token& open = s_.current();
  s_.expect_op("(");
  call_arguments out;
  std::set<std::string_view> names;
  const auto require = [&](bool ok) {
    if (!ok) s_.fail_at(open, "the arguments of this call are in a wrong order");
  };
  for (bool is_first = true; !s_.current().is_op(")"); is_first = false) {
    if (!is_first) s_.expect_op(",");
    if (s_.current().is_op(")")) break;
    if (s_.skip_op("*")) {
      require(!out.all_positional && !out.all_named);
      out.all_positional = boxed(parse());
    } else if (s_.skip_op("**")) {
      require(!out.all_named);
      out.all_named = boxed(parse());
    } else if (s_.current().is(token_kind::name) && s_.look().is_op("=")) {
      require(!out.all_named);
      const token& name = s_.take();
      if (!names.insert(name.text).second) {
        s_.fail_at(name, "the argument '" + name.text + "' is given twice");
      }
      s_.take();
      out.named.push_back({name.text, parse()});
    } else {
      require(!out.all_positional && !out.all_named && out.named.empty());
      out.positional.push_back(parse());
    }
  }
  s_.expect_op(")");
  return out;
}

}  // namespace llmos::jinja
