#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/text/jinja/builtins.hpp"
#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/operators.hpp"
#include "runtime/text/jinja/value.hpp"

namespace llmos::jinja {

struct expression;
struct statement;
struct dict_entry;
struct arithmetic_operand;
struct comparison_operand;
struct named_argument;
using expression_ptr = std::unique_ptr<expression>;
using block = std::vector<statement>;

/// Where a variable lives: `hops` functions up, at `index` of that function's slots.
struct slot {
  uint32_t hops = 0;
  uint32_t index = 0;
};

// --- expressions --------------------------------------------------------------------------------

struct constant {
  value x;
};

struct variable {
  std::string name;
  slot where;
};

struct list_literal {
  std::vector<expression> items;
  bool is_tuple = false;
};

struct dict_literal {
  std::vector<dict_entry> entries;
};

enum class unary_operator : uint8_t { negate, affirm, invert };

struct unary {
  unary_operator op;
  expression_ptr operand;
};

// Chains of one precedence are flat, so that long ones do not nest.

/// ((first op a) op b) …
struct arithmetic_chain {
  expression_ptr first;
  std::vector<arithmetic_operand> rest;
};

/// first op a and a op b and …, each evaluated once.
struct comparison_chain {
  expression_ptr first;
  std::vector<comparison_operand> rest;
};

/// a and b and …, or with or.
struct logic_chain {
  bool is_and = false;
  std::vector<expression> items;
};

/// a ~ b ~ …
struct concatenation {
  std::vector<expression> items;
};

/// yes if condition else no; without `no` it is undefined.
struct conditional {
  expression_ptr condition, yes, no;
};

/// What stands between the parentheses of a call.
struct call_arguments {
  std::vector<expression> positional;
  std::vector<named_argument> named;
  expression_ptr all_positional;  ///< *args
  expression_ptr all_named;       ///< **kwargs
};

// The steps of a postfix chain: x.a[b](c)|d is e.

struct attribute_step {
  std::string name;
};
struct item_step {
  expression_ptr key;
};
struct slice_step {
  expression_ptr start, stop, step;
};
struct call_step {
  call_arguments args;
};
struct filter_step {
  std::string name;
  const builtin_filter* filter = nullptr;  ///< nullptr: unknown, an error when it is reached.
  call_arguments args;
};
struct test_step {
  std::string name;
  const builtin_test* test = nullptr;  ///< As above.
  call_arguments args;
  bool is_negated = false;
};

struct step {
  uint32_t line = 0;
  std::variant<attribute_step, item_step, slice_step, call_step, filter_step, test_step> what;
};

struct postfix_chain {
  expression_ptr base;
  std::vector<step> steps;
};

struct expression {
  uint32_t line = 0;
  std::variant<constant, variable, list_literal, dict_literal, unary, arithmetic_chain,
               comparison_chain, logic_chain, concatenation, conditional, postfix_chain>
      node;
};

struct dict_entry {
  expression key, x;
};

struct arithmetic_operand {
  arithmetic op;
  expression x;
};

struct comparison_operand {
  comparison op;
  expression x;
};

struct named_argument {
  std::string name;
  expression x;
};

// --- scopes and functions -----------------------------------------------------------------------

/// What entering a scope does to one of its slots.
struct slot_entry {
  enum class action : uint8_t {
    keep,     ///< A parameter or loop target: whoever enters sets it.
    resolve,  ///< Take the input variable of that name.
    copy,     ///< Take the value of an outer scope's variable.
    clear,    ///< Not set yet.
  };
  action what = action::clear;
  uint32_t index = 0;
  std::string name;
  slot from;
};

/// Names of one level. Leaving it clears all its slots.
struct scope {
  std::vector<slot_entry> entries;
};

/// Scopes that share one set of slots: the template, a macro, a recursive loop.
struct function {
  uint32_t slot_count = 0;
  bool is_captured = false;  ///< Functions defined inside may outlive a call: keep its slots.
};

// --- statements ---------------------------------------------------------------------------------

struct target {
  enum class kind : uint8_t { name, attribute, tuple };
  kind what = kind::name;
  uint32_t line = 0;
  std::string name;
  std::string attribute;  ///< Of the namespace `name`.
  slot where;
  std::vector<target> items;
};

struct text_output {
  value text;
};

struct print_statement {
  expression_ptr x;
};

struct if_branch {
  expression condition;
  block body;
};

struct if_statement {
  std::vector<if_branch> branches;
  block otherwise;
};

struct for_statement {
  target what;
  target tested;  ///< The same target in the scope of `condition`, which runs ahead of the body.
  expression_ptr iterable;
  expression_ptr condition;  ///< May be nullptr.
  block body, otherwise;
  scope body_scope, test_scope, else_scope;
  bool is_recursive = false;
  std::optional<slot> loop_variable;  ///< Where `loop` goes, if the body asks for it.
  function own;                       ///< Of a recursive loop.
};

struct set_statement {
  target what;
  expression_ptr x;
};

struct set_block {
  target what;
  std::vector<step> filters;
  block body;
  scope inner;
};

struct with_variable {
  target what;
  expression x;
};

struct with_statement {
  std::vector<with_variable> variables;
  block body;
  scope inner;
};

struct parameter {
  std::string name;
  slot where;
  expression_ptr otherwise;  ///< nullptr: undefined when it is not passed.
};

struct macro_definition {
  std::string name;  ///< Empty for the body of a call block.
  uint32_t line = 0;
  std::vector<parameter> parameters;
  block body;
  scope inner;
  function own;
  std::optional<slot> caller, kwargs, varargs;  ///< Given only to bodies that name them.
  bool has_caller_parameter = false;
};

struct macro_statement {
  std::unique_ptr<macro_definition> macro;
  slot where;
};

/// {% call(args) f(…) %}; without a call: {% generation %}, whose body prints at once.
struct call_block {
  std::unique_ptr<macro_definition> body;
  expression_ptr call;
};

struct filter_block {
  std::vector<step> filters;
  block body;
  scope inner;
};

struct break_statement {};
struct continue_statement {};

struct statement {
  uint32_t line = 0;
  std::variant<text_output, print_statement, if_statement, for_statement, set_statement, set_block,
               with_statement, macro_statement, call_block, filter_block, break_statement,
               continue_statement>
      node;
};

/// A parsed template. Immutable, so that many renders can share it.
struct program {
  std::string source;
  block body;
  scope globals;
  function own;
};

}  // namespace llmos::jinja
