#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/text/jinja/ast.hpp"
#include "runtime/text/jinja/loop.hpp"
#include "runtime/text/jinja/machine.hpp"
#include "runtime/text/jinja/output.hpp"

namespace llmos::jinja {

/// The variables of one call of a function.
struct frame {
  frame* outer = nullptr;  ///< Of the function around, as it was when this one was defined.
  std::vector<value> slots;
};

/// A frame that lasts as long as the call.
struct called_frame {
  frame own;
  memory_claim claim;
};

/// Runs one program once.
class interpreter {
public:
  using variables = std::unordered_map<std::string, value>;

  /// All three outlive it.
  interpreter(machine& m, const program& p, const variables& inputs)
      : m_(m), program_(p), inputs_(inputs) {}
  ~interpreter();

  /// What the template prints. Throws `fault`.
  std::string run();

  /// Calls a macro that was defined in `outer`.
  value call_macro(const macro_definition& d, frame* outer, const arguments& args);
  /// A target's condition in a for loop.
  bool accepts(const for_statement& s, const value& item, frame& f);

private:
  enum class flow { normal, break_loop, continue_loop };

  // Statements: they print to `out` and say how the block goes on.
  flow run(const block& b, frame& f, output& out);
  flow run(const text_output& s, frame& f, output& out);
  flow run(const print_statement& s, frame& f, output& out);
  flow run(const if_statement& s, frame& f, output& out);
  flow run(const for_statement& s, frame& f, output& out);
  flow run(const set_statement& s, frame& f, output& out);
  flow run(const set_block& s, frame& f, output& out);
  flow run(const with_statement& s, frame& f, output& out);
  flow run(const macro_statement& s, frame& f, output& out);
  flow run(const call_block& s, frame& f, output& out);
  flow run(const filter_block& s, frame& f, output& out);
  flow run(const break_statement& s, frame& f, output& out);
  flow run(const continue_statement& s, frame& f, output& out);

  flow run_loop(const for_statement& s, frame& f, const value& iterable, int64_t depth0,
                frame* outer, output& out);
  value run_recursively(const for_statement& s, frame& outer, const value& iterable,
                        int64_t depth0);
  std::shared_ptr<loop_context> make_loop(const for_statement& s, frame& f, const value& iterable,
                                          std::shared_ptr<iterator> items, int64_t depth0,
                                          frame* outer);

  // Expressions.
  value eval(const expression& x, frame& f);
  value eval(const constant& x, frame& f);
  value eval(const variable& x, frame& f);
  value eval(const list_literal& x, frame& f);
  value eval(const dict_literal& x, frame& f);
  value eval(const unary& x, frame& f);
  value eval(const arithmetic_chain& x, frame& f);
  value eval(const comparison_chain& x, frame& f);
  value eval(const logic_chain& x, frame& f);
  value eval(const concatenation& x, frame& f);
  value eval(const conditional& x, frame& f);
  value eval(const postfix_chain& x, frame& f);

  value apply(const step& s, const value& x, frame& f);
  value apply(const attribute_step& s, const value& x, frame& f);
  value apply(const item_step& s, const value& x, frame& f);
  value apply(const slice_step& s, const value& x, frame& f);
  value apply(const call_step& s, const value& x, frame& f);
  value apply(const filter_step& s, const value& x, frame& f);
  value apply(const test_step& s, const value& x, frame& f);
  value apply_all(const std::vector<step>& steps, value x, frame& f);
  /// x.name(…) on builtin types, without the detour over a bound method; missing if it is not that.
  value call_builtin_method(const step& name, const step& call, const value& x, frame& f);
  arguments eval_arguments(const call_arguments& a, frame& f);
  value call_with_body(const expression& call, const value& caller, frame& f);

  // Variables.
  value& at(slot s, frame& f) const;
  void enter(const scope& s, frame& f);
  void leave(const scope& s, frame& f);
  void check_namespaces(const target& t, frame& f) const;
  void assign(const target& t, const value& x, frame& f);
  value input(const std::string& name) const;
  void bind_parameters(const macro_definition& d, const arguments& args, frame& f);
  void bind_special_names(const macro_definition& d, const arguments& args, std::vector<bool>& used,
                          frame& f);
  void bind_defaults(const macro_definition& d, frame& f);
  /// A frame for a call of `of`, kept until the end if functions defined in it may live on.
  frame& new_frame(const function& of, frame* outer, called_frame& local);

  void print(output& out, const value& x);

  machine& m_;
  const program& program_;
  const variables& inputs_;
  std::deque<called_frame> kept_frames_;
};

/// `{% macro %}` as a value, and the body of `{% call %}`.
class macro : public object {
public:
  macro(interpreter& in, const macro_definition& d, frame* outer)
      : interpreter_(in), definition_(d), outer_(outer) {}

  const char* type_name() const override { return "Macro"; }
  std::string print(machine& m) override;
  std::optional<value> attribute(machine& m, std::string_view name) override;
  bool is_callable() const override { return true; }
  value call(machine&, arguments args) override {
    return interpreter_.call_macro(definition_, outer_, args);
  }

private:
  interpreter& interpreter_;
  const macro_definition& definition_;
  frame* outer_;
};

}  // namespace llmos::jinja
