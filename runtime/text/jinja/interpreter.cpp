#include "runtime/text/jinja/interpreter.hpp"

#include <utility>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/iterate.hpp"
#include "runtime/text/jinja/name_space.hpp"
#include "runtime/text/jinja/print.hpp"

namespace llmos::jinja {

namespace {

/// The items that pass a loop's `if`.
class accepted_items : public iterator {
public:
  accepted_items(interpreter& in, const for_statement& s, frame& f, std::shared_ptr<iterator> items)
      : interpreter_(in), loop_(s), frame_(f), items_(std::move(items)) {}

  uint32_t depth() const override { return items_->depth() + 1; }

  std::optional<value> next(machine& m) override {
    while (auto x = items_->next(m)) {
      m.step();
      if (interpreter_.accepts(loop_, *x, frame_)) return x;
    }
    return std::nullopt;
  }

private:
  interpreter& interpreter_;
  const for_statement& loop_;
  frame& frame_;
  std::shared_ptr<iterator> items_;
};

/// Detaches a loop whichever way it ends.
class detached_at_end {
public:
  explicit detached_at_end(loop_context* loop) : loop_(loop) {}
  ~detached_at_end() {
    if (loop_ != nullptr) loop_->detach();
  }
  detached_at_end(const detached_at_end&) = delete;
  detached_at_end& operator=(const detached_at_end&) = delete;

private:
  loop_context* loop_;
};

}  // namespace

interpreter::~interpreter() {
  m_.release_cycles();
  kept_frames_.clear();
}

std::string interpreter::run() {
  frame root{nullptr, std::vector<value>(program_.own.slot_count)};
  enter(program_.globals, root);
  output out(m_);
  run(program_.body, root, out);
  return out.take();
}

// --- variables ----------------------------------------------------------------------------------

value& interpreter::at(slot s, frame& f) const {
  frame* owner = &f;
  for (uint32_t i = 0; i < s.hops; ++i) owner = owner->outer;
  return owner->slots[s.index];
}

value interpreter::input(const std::string& name) const {
  const auto it = inputs_.find(name);
  return it != inputs_.end() ? it->second : find_global(m_, name);
}

void interpreter::enter(const scope& s, frame& f) {
  using action = slot_entry::action;
  m_.step(s.entries.size());
  for (const slot_entry& e : s.entries) {
    value& x = f.slots[e.index];
    switch (e.what) {
      case action::keep: break;
      case action::resolve:
        m_.work(e.name.size());
        x = input(e.name);
        break;
      case action::copy: x = at(e.from, f); break;
      case action::clear: x = value(); break;
    }
  }
}

void interpreter::leave(const scope& s, frame& f) {
  m_.step(s.entries.size() / 4);
  for (const slot_entry& e : s.entries) f.slots[e.index] = value();
}

void interpreter::check_namespaces(const target& t, frame& f) const {
  const bool is_bad = t.what == target::kind::attribute && !at(t.where, f).as<name_space>();
  if (is_bad) fail("'" + t.name + "' is no namespace: its attributes cannot be set");
  for (const target& item : t.items) check_namespaces(item, f);
}

void interpreter::assign(const target& t, const value& x, frame& f) {
  switch (t.what) {
    case target::kind::name: at(t.where, f) = x; return;
    case target::kind::attribute: {
      check_namespaces(t, f);
      at(t.where, f).as<name_space>()->set(m_, t.attribute, x);
      return;
    }
    case target::kind::tuple: break;
  }
  const std::vector<value> items = collect(m_, x);
  if (items.size() != t.items.size()) {
    fail("cannot unpack " + std::to_string(items.size()) + " values into " +
         std::to_string(t.items.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) assign(t.items[i], items[i], f);
}

frame& interpreter::new_frame(const function& of, frame* outer, called_frame& local) {
  m_.step(of.slot_count / 4);
  local.claim = m_.claim(sizeof(called_frame) + of.slot_count * sizeof(value));
  local.own.outer = outer;
  local.own.slots.resize(of.slot_count);
  if (!of.is_captured) return local.own;
  kept_frames_.push_back(std::move(local));
  return kept_frames_.back().own;
}

// --- statements ---------------------------------------------------------------------------------

void interpreter::print(output& out, const value& x) {
  x.is_text() ? out.print(x.bytes()) : out.print(to_str(m_, x));
}

interpreter::flow interpreter::run(const block& b, frame& f, output& out) {
  const depth_guard guard(m_);
  for (const statement& s : b) {
    m_.step();
    m_.line = s.line;
    const flow how = std::visit([&](const auto& x) { return run(x, f, out); }, s.node);
    if (how != flow::normal) return how;
  }
  return flow::normal;
}

interpreter::flow interpreter::run(const text_output& s, frame&, output& out) {
  print(out, s.text);
  return flow::normal;
}

interpreter::flow interpreter::run(const print_statement& s, frame& f, output& out) {
  print(out, eval(*s.x, f));
  return flow::normal;
}

interpreter::flow interpreter::run(const if_statement& s, frame& f, output& out) {
  for (const auto& [condition, body] : s.branches) {
    if (is_truthy(eval(condition, f))) return run(body, f, out);
  }
  return run(s.otherwise, f, out);
}

interpreter::flow interpreter::run(const for_statement& s, frame& f, output& out) {
  const value iterable = eval(*s.iterable, f);
  if (!s.is_recursive) return run_loop(s, f, iterable, 0, nullptr, out);
  print(out, run_recursively(s, f, iterable, 0));
  return flow::normal;
}

value interpreter::run_recursively(const for_statement& s, frame& outer, const value& iterable,
                                   int64_t depth0) {
  const depth_guard guard(m_);
  called_frame local;
  frame& f = new_frame(s.own, &outer, local);
  output out(m_);
  run_loop(s, f, iterable, depth0, &outer, out);
  return m_.make_text(out.take());
}

bool interpreter::accepts(const for_statement& s, const value& item, frame& f) {
  assign(s.tested, item, f);
  return is_truthy(eval(*s.condition, f));
}

std::shared_ptr<loop_context> interpreter::make_loop(const for_statement& s, frame& f,
                                                     const value& iterable,
                                                     std::shared_ptr<iterator> items,
                                                     int64_t depth0, frame* outer) {
  loop_context::recursion recurse;
  if (outer != nullptr) {
    recurse = [this, &s, outer](const value& x, int64_t depth) {
      return run_recursively(s, *outer, x, depth);
    };
  }
  auto out = std::make_shared<loop_context>(std::move(items), s.condition ? value() : iterable,
                                            std::move(recurse), depth0);
  at(*s.loop_variable, f) = m_.make_object(out);
  return out;
}

/// `outer` is where a recursive loop was defined, nullptr for others.
interpreter::flow interpreter::run_loop(const for_statement& s, frame& f, const value& iterable,
                                        int64_t depth0, frame* outer, output& out) {
  std::shared_ptr<iterator> items = iterate(m_, iterable);
  if (s.condition) {
    enter(s.test_scope, f);
    items = std::make_shared<accepted_items>(*this, s, f, std::move(items));
  }
  std::shared_ptr<loop_context> loop;
  if (s.loop_variable) loop = make_loop(s, f, iterable, items, depth0, outer);
  const detached_at_end end(loop.get());
  bool has_finished_body = false;
  while (const auto item = loop ? loop->advance(m_) : items->next(m_)) {
    m_.step();
    assign(s.what, *item, f);
    if (loop) at(*s.loop_variable, f) = value(std::shared_ptr<object>(loop));
    enter(s.body_scope, f);
    const flow how = run(s.body, f, out);
    if (how == flow::break_loop) break;
    // Jinja runs the `else` of a loop whose body never came to its end.
    has_finished_body = has_finished_body || how == flow::normal;
  }
  leave(s.body_scope, f);
  leave(s.test_scope, f);
  if (loop && loop.use_count() > 1) loop->keep(m_);
  if (has_finished_body || s.otherwise.empty()) return flow::normal;
  enter(s.else_scope, f);
  const flow how = run(s.otherwise, f, out);
  leave(s.else_scope, f);
  return how;
}

interpreter::flow interpreter::run(const set_statement& s, frame& f, output&) {
  check_namespaces(s.what, f);
  assign(s.what, eval(*s.x, f), f);
  return flow::normal;
}

interpreter::flow interpreter::run(const set_block& s, frame& f, output&) {
  enter(s.inner, f);
  output body(m_);
  const flow how = run(s.body, f, body);
  if (how != flow::normal) return how;
  assign(s.what, apply_all(s.filters, m_.make_text(body.take()), f), f);
  leave(s.inner, f);
  return flow::normal;
}

interpreter::flow interpreter::run(const filter_block& s, frame& f, output& out) {
  enter(s.inner, f);
  output body(m_);
  const flow how = run(s.body, f, body);
  if (how != flow::normal) return how;
  print(out, apply_all(s.filters, m_.make_text(body.take()), f));
  leave(s.inner, f);
  return flow::normal;
}

interpreter::flow interpreter::run(const with_statement& s, frame& f, output& out) {
  enter(s.inner, f);
  for (const auto& [what, x] : s.variables) assign(what, eval(x, f), f);
  const flow how = run(s.body, f, out);
  leave(s.inner, f);
  return how;
}

interpreter::flow interpreter::run(const macro_statement& s, frame& f, output&) {
  at(s.where, f) = m_.make_object(std::make_shared<macro>(*this, *s.macro, &f));
  return flow::normal;
}

interpreter::flow interpreter::run(const call_block& s, frame& f, output& out) {
  if (!s.call) {
    print(out, call_macro(*s.body, &f, {}));
    return flow::normal;
  }
  const value caller = m_.make_object(std::make_shared<macro>(*this, *s.body, &f));
  print(out, call_with_body(*s.call, caller, f));
  return flow::normal;
}

interpreter::flow interpreter::run(const break_statement&, frame&, output&) {
  return flow::break_loop;
}

interpreter::flow interpreter::run(const continue_statement&, frame&, output&) {
  return flow::continue_loop;
}

}  // namespace llmos::jinja
