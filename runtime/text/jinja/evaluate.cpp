// The expressions of the interpreter.

#include <utility>

#include "runtime/text/jinja/access.hpp"
#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/interpreter.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/print.hpp"

namespace llmos::jinja {

value interpreter::eval(const expression& x, frame& f) {
  const depth_guard guard(m_);
  m_.step();
  return std::visit([&](const auto& n) { return eval(n, f); }, x.node);
}

value interpreter::eval(const constant& x, frame&) {
  return x.x;
}

value interpreter::eval(const variable& x, frame& f) {
  const value& found = at(x.where, f);
  if (!found.is(kind::missing)) return found;
  return m_.make_undefined(undefined_origin::source::name, x.name);
}

value interpreter::eval(const list_literal& x, frame& f) {
  std::vector<value> items;
  for (const expression& item : x.items) items.push_back(eval(item, f));
  return x.is_tuple ? m_.make_tuple(std::move(items)) : m_.make_list(std::move(items));
}

value interpreter::eval(const dict_literal& x, frame& f) {
  auto entries = std::make_shared<mapping>();
  for (const auto& [key, item] : x.entries) {
    value k = eval(key, f);
    entries->set(std::move(k), eval(item, f), &m_);
  }
  return m_.make_dict(std::move(entries));
}

value interpreter::eval(const unary& x, frame& f) {
  const value operand = eval(*x.operand, f);
  switch (x.op) {
    case unary_operator::negate: return negate(operand);
    case unary_operator::affirm: return affirm(operand);
    case unary_operator::invert: return !is_truthy(operand);
  }
  return {};
}

value interpreter::eval(const arithmetic_chain& x, frame& f) {
  value out = eval(*x.first, f);
  for (const auto& [op, operand] : x.rest) out = calculate(m_, op, out, eval(operand, f));
  return out;
}

value interpreter::eval(const comparison_chain& x, frame& f) {
  value left = eval(*x.first, f);
  for (const auto& [op, operand] : x.rest) {
    value right = eval(operand, f);
    if (!compare(m_, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

value interpreter::eval(const logic_chain& x, frame& f) {
  value out;
  for (const expression& item : x.items) {
    out = eval(item, f);
    if (is_truthy(out) != x.is_and) return out;
  }
  return out;
}

value interpreter::eval(const concatenation& x, frame& f) {
  output out(m_);
  // All operands are evaluated before the first is printed, as in Python.
  std::vector<value> items;
  for (const expression& item : x.items) items.push_back(eval(item, f));
  for (const value& item : items) print(out, item);
  return m_.make_text(out.take());
}

value interpreter::eval(const conditional& x, frame& f) {
  if (is_truthy(eval(*x.condition, f))) return eval(*x.yes, f);
  if (x.no) return eval(*x.no, f);
  return m_.make_undefined(undefined_origin::source::other,
                           "the inline 'if' is false and has no 'else'");
}

value interpreter::eval(const postfix_chain& x, frame& f) {
  value out = eval(*x.base, f);
  for (size_t i = 0; i < x.steps.size(); ++i) {
    m_.step();
    if (i + 1 < x.steps.size()) {
      value called = call_builtin_method(x.steps[i], x.steps[i + 1], out, f);
      if (!called.is(kind::missing)) {
        out = std::move(called);
        ++i;
        continue;
      }
    }
    out = apply(x.steps[i], out, f);
  }
  return out;
}

value interpreter::apply(const step& s, const value& x, frame& f) {
  m_.line = s.line;
  return std::visit([&](const auto& what) { return apply(what, x, f); }, s.what);
}

value interpreter::apply(const attribute_step& s, const value& x, frame&) {
  return get_attribute(m_, x, s.name);
}

value interpreter::apply(const item_step& s, const value& x, frame& f) {
  return get_item(m_, x, eval(*s.key, f));
}

value interpreter::apply(const slice_step& s, const value& x, frame& f) {
  const auto bound = [&](const expression_ptr& p) { return p ? eval(*p, f) : value(); };
  const value start = bound(s.start), stop = bound(s.stop), step = bound(s.step);
  return get_slice(m_, x, start, stop, step);
}

value interpreter::apply(const call_step& s, const value& x, frame& f) {
  return call_value(m_, x, eval_arguments(s.args, f));
}

value interpreter::apply(const filter_step& s, const value& x, frame& f) {
  const uint32_t line = m_.line;
  const arguments args = eval_arguments(s.args, f);
  m_.line = line;
  if (s.filter == nullptr) fail_unsupported("the filter '" + s.name + "'");
  return s.filter->apply(m_, x, args);
}

value interpreter::apply(const test_step& s, const value& x, frame& f) {
  const uint32_t line = m_.line;
  const arguments args = eval_arguments(s.args, f);
  m_.line = line;
  if (s.test == nullptr) fail_unsupported("the test '" + s.name + "'");
  return s.test->holds(m_, x, args) != s.is_negated;
}

value interpreter::apply_all(const std::vector<step>& steps, value x, frame& f) {
  for (const step& s : steps) x = apply(s, x, f);
  return x;
}

value interpreter::call_builtin_method(const step& name, const step& call, const value& x,
                                       frame& f) {
  const auto* attribute = std::get_if<attribute_step>(&name.what);
  const auto* parentheses = std::get_if<call_step>(&call.what);
  if (attribute == nullptr || parentheses == nullptr) return {};
  const method* found = find_method(x, attribute->name);
  if (found == nullptr) return {};
  const arguments args = eval_arguments(parentheses->args, f);
  m_.line = name.line;
  return call_method(m_, x, *found, args);
}

arguments interpreter::eval_arguments(const call_arguments& a, frame& f) {
  arguments out;
  for (const expression& x : a.positional) out.positional.push_back(eval(x, f));
  for (const auto& [name, x] : a.named) out.named.emplace_back(name, eval(x, f));
  if (a.all_positional) {
    const std::vector<value> more = collect(m_, eval(*a.all_positional, f));
    m_.check_count(more.size());
    m_.step(more.size());
    out.positional.insert(out.positional.end(), more.begin(), more.end());
  }
  if (!a.all_named) return out;
  const value more = eval(*a.all_named, f);
  if (!more.is(kind::mapping)) fail(std::string("'**' needs a dict, not a ") + more.type_name());
  for (const auto& [name, x] : out.named) {
    if (more.mapping().find(name, &m_) != nullptr) {
      fail("the argument '" + name + "' is given twice");
    }
  }
  for (const auto& [key, x] : more.mapping().entries()) {
    m_.step();
    const std::string& name = require_text(key, "a name of '**'").bytes;
    m_.work(name.size());
    out.named.emplace_back(name, x);
  }
  return out;
}

value interpreter::call_with_body(const expression& call, const value& caller, frame& f) {
  const auto& chain = std::get<postfix_chain>(call.node);
  value callee = eval(*chain.base, f);
  for (size_t i = 0; i + 1 < chain.steps.size(); ++i) callee = apply(chain.steps[i], callee, f);
  arguments args = eval_arguments(std::get<call_step>(chain.steps.back().what).args, f);
  args.named.emplace_back("caller", caller);
  return call_value(m_, callee, std::move(args));
}

}  // namespace llmos::jinja
