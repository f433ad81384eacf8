// Jinja compiles a template to Python functions whose local variables it decides upon beforehand.
// What a name means follows from that, e.g. that a macro does not see an input variable which the
// template sets further down. This pass decides in the same way.
//
// First `collect` notes which names one level loads and stores, in the order of the source and
// without going into inner levels; then `bind` gives each name its slot and enters inner levels.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/parser.hpp"

namespace llmos::jinja {

namespace {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

/// A function while its slots are handed out.
struct unit {
  unit* outer = nullptr;
  uint32_t depth = 0;
  function* out = nullptr;
  std::map<std::string, uint32_t> slots;  ///< By level and name: sibling scopes share them.

  uint32_t slot_of(const std::string& key) {
    const auto [it, is_new] = slots.emplace(key, out->slot_count);
    if (is_new) ++out->slot_count;
    return it->second;
  }
};

/// A slot seen from anywhere.
struct place {
  unit* owner = nullptr;
  uint32_t index = 0;
};

/// The names of one level.
class level {
public:
  using action = slot_entry::action;

  level(level* outer, unit& owner, std::string tag = {})
      : outer_(outer),
        owner_(&owner),
        number_(outer == nullptr ? 0 : outer->number_ + 1),
        tag_(std::move(tag)) {}

  /// The same level within a branch of an `if`: it sees the names so far and keeps what it adds to
  /// itself, until `merge`.
  level branch() const {
    level out(outer_, *owner_, tag_);
    out.trunk_ = this;
    return out;
  }

  void load(const std::string& name) {
    if (!find(name)) define(name, {action::resolve, 0, name, {}});
  }

  void store(const std::string& name) {
    if (!has_stored(name)) stored_.insert(name);
    if (find_own(name) != nullptr) return;
    define(name, first_value(name, action::clear));
  }

  slot declare(const std::string& name) {
    stored_.insert(name);
    define(name, {action::keep, 0, name, {}});
    return {0, places_.at(name)};
  }

  std::optional<place> find(const std::string& name) const {
    if (const uint32_t* index = find_own(name)) return place{owner_, *index};
    return outer_ != nullptr ? outer_->find(name) : std::nullopt;
  }

  /// Takes over what the branches of an `if` did. A name that a branch was the first to store has
  /// its outer value where that branch did not run.
  void merge(std::vector<level> branches) {
    std::set<std::string> fresh;
    for (level& b : branches) {
      fresh.merge(b.stored_);
      places_.merge(b.places_);
      for (auto& [index, e] : b.entries_) entries_.insert_or_assign(index, std::move(e));
    }
    for (const auto& name : fresh) {
      const uint32_t index = *find_own(name);
      entry e = first_value(name, action::resolve);
      e.index = index;
      entries_.insert_or_assign(index, std::move(e));
    }
    stored_.merge(fresh);
  }

  unit& owner() const { return *owner_; }

  slot resolve(const place& p) const { return {owner_->depth - p.owner->depth, p.index}; }
  slot at(const std::string& name) const { return resolve(*find(name)); }

  scope to_scope() const {
    scope out;
    for (const auto& [index, e] : entries_) {
      const slot from = e.what == action::copy ? resolve(e.from) : slot{};
      out.entries.push_back({e.what, index, e.name, from});
    }
    return out;
  }

private:
  struct entry {
    action what = action::clear;
    uint32_t index = 0;
    std::string name;
    place from;
  };

  const uint32_t* find_own(const std::string& name) const {
    const auto it = places_.find(name);
    if (it != places_.end()) return &it->second;
    return trunk_ != nullptr ? trunk_->find_own(name) : nullptr;
  }

  bool has_stored(const std::string& name) const {
    return stored_.count(name) > 0 || (trunk_ != nullptr && trunk_->has_stored(name));
  }

  /// How a stored name begins: as a copy of an outer variable, otherwise by `otherwise`.
  entry first_value(const std::string& name, action otherwise) const {
    const auto outer = outer_ != nullptr ? outer_->find(name) : std::nullopt;
    if (outer) return {action::copy, 0, name, *outer};
    return {otherwise, 0, name, {}};
  }

  void define(const std::string& name, entry e) {
    e.index = owner_->slot_of(std::to_string(number_) + tag_ + ":" + name);
    places_[name] = e.index;
    entries_.insert_or_assign(e.index, e);
  }

  level* outer_;
  const level* trunk_ = nullptr;  ///< Of a branch.
  unit* owner_;
  uint32_t number_;
  std::string tag_;
  std::map<std::string, uint32_t> places_;
  std::map<uint32_t, entry> entries_;
  std::set<std::string> stored_;
};

// --- walking ------------------------------------------------------------------------------------

template <class F>
void each_argument(call_arguments& args, F& f) {
  for (auto& x : args.positional) f(x);
  for (auto& [name, x] : args.named) f(x);
  if (args.all_positional) f(*args.all_positional);
  if (args.all_named) f(*args.all_named);
}

/// Calls f on every direct subexpression of a step.
template <class F>
void each_child(step& s, F& f) {
  const auto if_any = [&](expression_ptr& p) {
    if (p) f(*p);
  };
  std::visit(overloaded{
                 [](attribute_step&) {},
                 [&](item_step& x) { f(*x.key); },
                 [&](slice_step& x) { if_any(x.start), if_any(x.stop), if_any(x.step); },
                 [&](call_step& x) { each_argument(x.args, f); },
                 [&](filter_step& x) { each_argument(x.args, f); },
                 [&](test_step& x) { each_argument(x.args, f); },
             },
             s.what);
}

template <class F>
void each_child(expression& x, F& f) {
  const auto each_of = [&](std::vector<expression>& items) {
    for (auto& item : items) f(item);
  };
  const auto each_of_chain = [&](auto& chain) {
    f(*chain.first);
    for (auto& [op, item] : chain.rest) f(item);
  };
  std::visit(overloaded{
                 [](constant&) {},
                 [](variable&) {},
                 [&](list_literal& n) { each_of(n.items); },
                 [&](dict_literal& n) {
                   for (auto& [key, item] : n.entries) f(key), f(item);
                 },
                 [&](unary& n) { f(*n.operand); },
                 [&](arithmetic_chain& n) { each_of_chain(n); },
                 [&](comparison_chain& n) { each_of_chain(n); },
                 [&](logic_chain& n) { each_of(n.items); },
                 [&](concatenation& n) { each_of(n.items); },
                 [&](conditional& n) {
                   f(*n.condition), f(*n.yes);
                   if (n.no) f(*n.no);
                 },
                 [&](postfix_chain& n) {
                   f(*n.base);
                   for (step& s : n.steps) each_child(s, f);
                 },
             },
             x.node);
}

/// Looks for the special names that a body uses without declaring them, inner functions included.
class special_names {
public:
  explicit special_names(std::set<std::string> wanted) : wanted_(std::move(wanted)) {}

  const std::set<std::string>& search(block& b) {
    visit(b);
    return found_;
  }

private:
  void declare(const std::string& name) { wanted_.erase(name); }

  void declare(const target& t) {
    if (t.what == target::kind::name) declare(t.name);
    for (const target& item : t.items) declare(item);
  }

  void visit(expression& x) {
    if (const auto* v = std::get_if<variable>(&x.node)) {
      if (wanted_.count(v->name) > 0) found_.insert(v->name);
      return;
    }
    const auto down = [this](expression& child) { visit(child); };
    each_child(x, down);
  }

  void visit(std::vector<step>& steps) {
    const auto down = [this](expression& child) { visit(child); };
    for (step& s : steps) each_child(s, down);
  }

  void visit(block& b) {
    for (statement& s : b) std::visit([this](auto& x) { visit(x); }, s.node);
  }

  void visit(text_output&) {}
  void visit(break_statement&) {}
  void visit(continue_statement&) {}
  void visit(print_statement& x) { visit(*x.x); }

  void visit(if_statement& x) {
    for (auto& [condition, body] : x.branches) visit(condition), visit(body);
    visit(x.otherwise);
  }

  void visit(for_statement& x) {
    declare(x.what);
    visit(*x.iterable);
    visit(x.body);
    visit(x.otherwise);
    if (x.condition) visit(*x.condition);
  }

  void visit(set_statement& x) {
    declare(x.what);
    visit(*x.x);
  }

  void visit(set_block& x) {
    declare(x.what);
    visit(x.filters);
    visit(x.body);
  }

  void visit(with_statement& x) {
    for (auto& [what, value] : x.variables) declare(what), visit(value);
    visit(x.body);
  }

  void visit(macro_definition& x) {
    for (parameter& p : x.parameters) {
      declare(p.name);
      if (p.otherwise) visit(*p.otherwise);
    }
    visit(x.body);
  }

  void visit(macro_statement& x) { visit(*x.macro); }

  void visit(call_block& x) {
    if (x.call) visit(*x.call);
    visit(*x.body);
  }

  void visit(filter_block& x) {
    visit(x.body);
    visit(x.filters);
  }

  std::set<std::string> wanted_, found_;
};

// --- collect ------------------------------------------------------------------------------------

/// Notes what one level loads and stores.
class collector {
public:
  explicit collector(level& names) : names_(names) {}

  void collect(expression& x) {
    if (const auto* v = std::get_if<variable>(&x.node)) return names_.load(v->name);
    const auto down = [this](expression& child) { collect(child); };
    each_child(x, down);
  }

  void collect(std::vector<step>& steps) {
    const auto down = [this](expression& child) { collect(child); };
    for (step& s : steps) each_child(s, down);
  }

  void collect(block& b) {
    for (statement& s : b) std::visit([this](auto& x) { collect(x); }, s.node);
  }

  void store(const target& t) {
    switch (t.what) {
      case target::kind::name: return names_.store(t.name);
      case target::kind::attribute: return names_.load(t.name);
      case target::kind::tuple:
        for (const target& item : t.items) store(item);
    }
  }

  void declare(const target& t) {
    if (t.what == target::kind::name) names_.declare(t.name);
    for (const target& item : t.items) declare(item);
  }

private:
  void collect(text_output&) {}
  void collect(break_statement&) {}
  void collect(continue_statement&) {}
  void collect(print_statement& x) { collect(*x.x); }

  void collect(if_statement& x) {
    // Jinja nests every `elif` into the second of three branches.
    collect(x.branches[0].condition);
    std::vector<level> branches(3, names_.branch());
    collector(branches[0]).collect(x.branches[0].body);
    for (size_t i = 1; i < x.branches.size(); ++i) {
      collector(branches[1]).collect_elif(x.branches[i].condition, x.branches[i].body);
    }
    collector(branches[2]).collect(x.otherwise);
    names_.merge(std::move(branches));
  }

  void collect_elif(expression& condition, block& body) {
    collect(condition);
    std::vector<level> branches(1, names_.branch());
    collector(branches[0]).collect(body);
    names_.merge(std::move(branches));
  }

  void collect(for_statement& x) { collect(*x.iterable); }

  void collect(set_statement& x) {
    collect(*x.x);
    store(x.what);
  }

  void collect(set_block& x) { store(x.what); }

  void collect(with_statement& x) {
    for (auto& [what, value] : x.variables) collect(value);
  }

  void collect(macro_statement& x) { names_.store(x.macro->name); }

  void collect(call_block& x) {
    if (x.call) collect(*x.call);
  }

  void collect(filter_block& x) { collect(x.filters); }

  level& names_;
};

// --- bind ---------------------------------------------------------------------------------------

/// Gives the names of one level their slots and enters the levels inside.
class binder {
public:
  /// Unknown filters and tests are errors at once unless the level is `conditional`: there they may
  /// never be reached.
  binder(level& names, bool is_conditional) : names_(names), is_conditional_(is_conditional) {}

  void bind(expression& x) {
    if (auto* v = std::get_if<variable>(&x.node)) {
      v->where = names_.at(v->name);
      return;
    }
    const bool outer = is_conditional_;
    is_conditional_ = outer || std::holds_alternative<conditional>(x.node);
    if (auto* chain = std::get_if<postfix_chain>(&x.node)) check_known(chain->steps);
    const auto down = [this](expression& child) { bind(child); };
    each_child(x, down);
    is_conditional_ = outer;
  }

  void bind(std::vector<step>& steps) {
    check_known(steps);
    const auto down = [this](expression& child) { bind(child); };
    for (step& s : steps) each_child(s, down);
  }

  void bind(block& b) {
    for (statement& s : b) std::visit([this](auto& x) { bind(x); }, s.node);
  }

  void bind(target& t) {
    if (t.what != target::kind::tuple) t.where = names_.at(t.name);
    for (target& item : t.items) bind(item);
  }

  void bind(macro_definition& x) {
    unit own{&names_.owner(), names_.owner().depth + 1, &x.own, {}};
    level inner(&names_, own);
    for (const parameter& p : x.parameters) inner.declare(p.name);
    collector names(inner);
    for (parameter& p : x.parameters) {
      if (p.otherwise) names.collect(*p.otherwise);
    }
    names.collect(x.body);
    declare_special_names(x, inner);
    binder inside(inner, false);
    for (parameter& p : x.parameters) {
      p.where = inner.at(p.name);
      if (p.otherwise) inside.bind(*p.otherwise);
    }
    inside.bind(x.body);
    x.inner = inner.to_scope();
  }

private:
  void check_known(const std::vector<step>& steps) const {
    if (is_conditional_) return;
    for (const step& s : steps) {
      if (const auto* f = std::get_if<filter_step>(&s.what); f != nullptr && f->filter == nullptr) {
        throw fault{ec::unsupported, "the filter '" + f->name + "'", s.line};
      }
      if (const auto* t = std::get_if<test_step>(&s.what); t != nullptr && t->test == nullptr) {
        throw fault{ec::unsupported, "the test '" + t->name + "'", s.line};
      }
    }
  }

  /// `caller`, `kwargs` and `varargs` exist in the macros that name them.
  static void declare_special_names(macro_definition& x, level& inner) {
    const auto used = special_names({"caller", "kwargs", "varargs"}).search(x.body);
    const auto find_parameter = [&x](const char* name) -> const parameter* {
      for (const parameter& p : x.parameters) {
        if (p.name == name) return &p;
      }
      return nullptr;
    };
    const parameter* caller = find_parameter("caller");
    x.has_caller_parameter = caller != nullptr;
    if (used.count("caller") > 0) {
      if (caller == nullptr) x.caller = inner.declare("caller");
      if (caller != nullptr && !caller->otherwise) {
        throw fault{ec::bad_file, "the parameter 'caller' of a macro needs a default", x.line};
      }
    }
    if (used.count("kwargs") > 0 && find_parameter("kwargs") == nullptr) {
      x.kwargs = inner.declare("kwargs");
    }
    if (used.count("varargs") > 0 && find_parameter("varargs") == nullptr) {
      x.varargs = inner.declare("varargs");
    }
  }

  void bind(text_output&) {}
  void bind(break_statement&) {}
  void bind(continue_statement&) {}
  void bind(print_statement& x) { bind(*x.x); }

  void bind(if_statement& x) {
    binder branch(names_, true);
    for (auto& [condition, body] : x.branches) branch.bind(condition), branch.bind(body);
    branch.bind(x.otherwise);
  }

  void bind(for_statement& x) {
    bind(*x.iterable);
    unit own{&names_.owner(), names_.owner().depth + 1, &x.own, {}};
    unit& runs_in = x.is_recursive ? own : names_.owner();
    if (x.is_recursive) names_.owner().out->is_captured = true;
    level body(&names_, runs_in);
    if (x.is_recursive || !special_names({"loop"}).search(x.body).empty()) {
      x.loop_variable = body.declare("loop");
    }
    collector in_body(body);
    in_body.declare(x.what);
    in_body.collect(x.body);
    binder bind_body(body, false);
    bind_body.bind(x.what);
    bind_body.bind(x.body);
    x.body_scope = body.to_scope();
    if (x.condition) bind_condition(x, runs_in);
    level otherwise(&names_, runs_in);
    x.else_scope = bind_inner(otherwise, x.otherwise);
  }

  void bind_condition(for_statement& x, unit& runs_in) {
    level test(&names_, runs_in, "test");
    collector names(test);
    names.declare(x.tested);
    names.collect(*x.condition);
    binder inside(test, false);
    inside.bind(x.tested);
    inside.bind(*x.condition);
    x.test_scope = test.to_scope();
  }

  /// A block that is a level of its own in the same function.
  static scope bind_inner(level& inner, block& body) {
    collector(inner).collect(body);
    binder(inner, false).bind(body);
    return inner.to_scope();
  }

  void bind(set_statement& x) {
    bind(*x.x);
    bind(x.what);
  }

  void bind(set_block& x) {
    level inner(&names_, names_.owner());
    collector(inner).collect(x.filters);
    x.inner = bind_inner(inner, x.body);
    binder(inner, false).bind(x.filters);
    bind(x.what);
  }

  void bind(filter_block& x) {
    level inner(&names_, names_.owner());
    collector(inner).collect(x.filters);
    x.inner = bind_inner(inner, x.body);
    binder(inner, false).bind(x.filters);
  }

  void bind(with_statement& x) {
    level inner(&names_, names_.owner());
    for (auto& [what, value] : x.variables) {
      bind(value);
      collector(inner).declare(what);
    }
    x.inner = bind_inner(inner, x.body);
    for (auto& [what, value] : x.variables) binder(inner, false).bind(what);
  }

  void bind(macro_statement& x) {
    x.where = names_.at(x.macro->name);
    names_.owner().out->is_captured = true;
    bind(*x.macro);
  }

  void bind(call_block& x) {
    if (x.call) {
      bind(*x.call);
      names_.owner().out->is_captured = true;
    }
    bind(*x.body);
  }

  level& names_;
  bool is_conditional_;
};

}  // namespace

void resolve_names(program& p) {
  unit root{nullptr, 0, &p.own, {}};
  level globals(nullptr, root);
  collector(globals).collect(p.body);
  binder(globals, false).bind(p.body);
  p.globals = globals.to_scope();
}

}  // namespace llmos::jinja
