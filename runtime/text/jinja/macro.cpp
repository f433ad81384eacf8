// Calls of macros, and namespaces.

#include <algorithm>
#include <utility>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/interpreter.hpp"
#include "runtime/text/jinja/name_space.hpp"
#include "runtime/text/jinja/print.hpp"

namespace llmos::jinja {

value interpreter::call_macro(const macro_definition& d, frame* outer, const arguments& args) {
  const depth_guard guard(m_);
  m_.step();
  called_frame local;
  frame& f = new_frame(d.own, outer, local);
  bind_parameters(d, args, f);
  enter(d.inner, f);
  bind_defaults(d, f);
  output out(m_);
  run(d.body, f, out);
  return m_.make_text(out.take());
}

void interpreter::bind_parameters(const macro_definition& d, const arguments& args, frame& f) {
  const size_t n = std::min(args.positional.size(), d.parameters.size());
  for (size_t i = 0; i < n; ++i) at(d.parameters[i].where, f) = args.positional[i];
  std::vector<bool> used(args.named.size(), false);
  m_.step(args.named.size() * d.parameters.size() / 16);
  for (size_t i = 0; i < used.size(); ++i) {
    const auto p =
        std::find_if(d.parameters.begin() + static_cast<ptrdiff_t>(n), d.parameters.end(),
                     [&](const parameter& x) { return x.name == args.named[i].first; });
    if (p == d.parameters.end()) continue;
    at(p->where, f) = args.named[i].second;
    used[i] = true;
  }
  bind_special_names(d, args, used, f);
}

void interpreter::bind_special_names(const macro_definition& d, const arguments& args,
                                     std::vector<bool>& used, frame& f) {
  if (d.caller) {
    value& caller = at(*d.caller, f);
    caller = m_.make_undefined(undefined_origin::source::other, "this macro has no caller");
    for (size_t i = 0; i < used.size(); ++i) {
      if (args.named[i].first != "caller" || args.named[i].second.is_none()) continue;
      caller = args.named[i].second;
      used[i] = true;
    }
  }
  auto rest = std::make_shared<mapping>();
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const auto& [name, x] = args.named[i];
    if (!d.kwargs) fail("the macro '" + d.name + "' takes no argument '" + name + "'");
    rest->set(m_.make_text(name), x, &m_);
  }
  if (d.kwargs) at(*d.kwargs, f) = m_.make_dict(std::move(rest));
  const size_t n = std::min(args.positional.size(), d.parameters.size());
  if (d.varargs) {
    at(*d.varargs, f) =
        m_.make_tuple({args.positional.begin() + static_cast<ptrdiff_t>(n), args.positional.end()});
  } else if (args.positional.size() > n) {
    fail("the macro '" + d.name + "' takes at most " + std::to_string(n) + " arguments");
  }
}

/// In order, so that a default sees the parameters before it.
void interpreter::bind_defaults(const macro_definition& d, frame& f) {
  for (const parameter& p : d.parameters) {
    if (!at(p.where, f).is(kind::missing)) continue;
    value x = p.otherwise ? eval(*p.otherwise, f)
                          : m_.make_undefined(undefined_origin::source::other,
                                              "the parameter '" + p.name + "' was not passed");
    at(p.where, f) = std::move(x);
  }
}

std::string macro::print(machine& m) {
  return definition_.name.empty() ? "<Macro anonymous>"
                                  : "<Macro " + quote(m, definition_.name) + ">";
}

std::optional<value> macro::attribute(machine& m, std::string_view name) {
  if (name == "name") return m.make_text(definition_.name);
  if (name == "arguments") {
    std::vector<value> names;
    for (const parameter& p : definition_.parameters) names.push_back(m.make_text(p.name));
    return m.make_tuple(std::move(names));
  }
  if (name == "catch_kwargs") return value(definition_.kwargs.has_value());
  if (name == "catch_varargs") return value(definition_.varargs.has_value());
  if (name == "caller") return value(definition_.caller.has_value());
  return std::nullopt;
}

void name_space::set(machine& m, const std::string& name, value x) {
  attributes_->set(m.make_text(name), std::move(x), &m);
}

std::string name_space::print(machine& m) {
  auto copy = std::make_shared<mapping>();
  for (const auto& [name, x] : attributes_->entries()) copy->set(name, x, &m);
  return "<Namespace " + to_repr(m, m.make_dict(std::move(copy))) + ">";
}

std::optional<value> name_space::attribute(machine& m, std::string_view name) {
  const value* x = attributes_->find(name, &m);
  if (x == nullptr) return std::nullopt;
  return *x;
}

}  // namespace llmos::jinja
