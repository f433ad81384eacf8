#include "runtime/text/jinja/parser.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <set>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/expression_parser.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/token_stream.hpp"

namespace llmos::jinja {

namespace {

using names = std::initializer_list<std::string_view>;

/// What a target is for: only `set` outside of parentheses takes attributes of namespaces.
enum class target_use : uint8_t { loop, set, set_inside, with };

expression_ptr boxed(expression x) {
  return std::make_unique<expression>(std::move(x));
}

/// The statement half of the grammar.
class statement_parser {
public:
  explicit statement_parser(token_stream& s) : s_(s), expressions_(s) {}

  block parse_template() {
    block out;
    parse_into(out, {}, {});
    return out;
  }

private:
  /// Parses up to a tag of `ends`, whose name is then the current token.
  block parse_body(const token& opening, names ends) {
    s_.skip_op(":");
    s_.expect(token_kind::block_end);
    const token_stream::nesting level(s_);
    block out;
    if (!parse_into(out, ends, opening.text)) {
      s_.fail_at(opening, "'" + opening.text + "' is not closed");
    }
    return out;
  }

  /// The same up to its only end, which is consumed.
  block parse_to_end(const token& opening, std::string_view end) {
    block out = parse_body(opening, {end});
    s_.take();
    return out;
  }

  /// False at the end of the template.
  bool parse_into(block& out, names ends, const std::string& inside) {
    while (true) {
      const token& t = s_.current();
      if (t.is(token_kind::end)) return false;
      if (t.is(token_kind::data)) {
        out.push_back({t.line, text_output{constant_text(s_.take().text)}});
      } else if (t.is(token_kind::variable_begin)) {
        s_.take();
        out.push_back({t.line, print_statement{boxed(expressions_.parse_tuple())}});
        s_.expect(token_kind::variable_end);
      } else {
        s_.expect(token_kind::block_begin);
        const token& name = s_.current();
        const bool is_end = name.is(token_kind::name) &&
                            std::find(ends.begin(), ends.end(), name.text) != ends.end();
        if (is_end) return true;
        parse_statement(out, inside);
        s_.expect(token_kind::block_end);
      }
    }
  }

  void parse_statement(block& out, const std::string& inside) {
    const token& t = s_.current();
    if (!t.is(token_kind::name)) s_.fail_here("expected a tag's name, got " + describe(t));
    const std::string& tag = t.text;
    if (tag == "print") return parse_print(out);
    statement next{t.line, break_statement{}};
    if (tag == "if") {
      next.node = parse_if();
    } else if (tag == "for") {
      next.node = parse_for();
    } else if (tag == "set") {
      next.node = parse_set();
    } else if (tag == "with") {
      next.node = parse_with();
    } else if (tag == "macro") {
      next.node = parse_macro();
    } else if (tag == "call") {
      next.node = parse_call_block();
    } else if (tag == "filter") {
      next.node = parse_filter_block();
    } else if (tag == "generation") {
      next.node = parse_generation();
    } else if (tag == "break" || tag == "continue") {
      next.node = parse_loop_control();
    } else {
      fail_unknown_tag(t, inside);
    }
    out.push_back(std::move(next));
  }

  [[noreturn]] void fail_unknown_tag(const token& t, const std::string& inside) const {
    static constexpr std::array<std::string_view, 2> parts = {"else", "elif"};
    const bool is_part = std::find(parts.begin(), parts.end(), t.text) != parts.end();
    if (!is_part && !t.text.starts_with("end")) {
      s_.fail_unsupported_at(t, "the tag '" + t.text + "'");
    }
    s_.fail_at(t, "'" + t.text + "' closes nothing" +
                      (inside.empty() ? "" : ": the innermost open tag is '" + inside + "'"));
  }

  void parse_print(block& out) {
    s_.take();
    for (bool is_first = true; !s_.current().is(token_kind::block_end); is_first = false) {
      if (!is_first) s_.expect_op(",");
      const uint32_t line = s_.current().line;
      out.push_back({line, print_statement{boxed(expressions_.parse())}});
    }
  }

  if_statement parse_if() {
    if_statement out;
    const token* opening = &s_.take();
    while (true) {
      expression condition = expressions_.parse_tuple(false);
      block body = parse_body(*opening, {"elif", "else", "endif"});
      out.branches.push_back({std::move(condition), std::move(body)});
      const token& end = s_.take();
      if (end.text == "else") out.otherwise = parse_to_end(*opening, "endif");
      if (end.text != "elif") return out;
    }
  }

  for_statement parse_for() {
    const token& opening = s_.take();
    for_statement out;
    ++for_tags_;
    out.what = parse_target(target_use::loop);
    out.tested = out.what;
    s_.expect_name("in");
    out.iterable = boxed(expressions_.parse_tuple(false));
    if (s_.skip_name("if")) out.condition = boxed(expressions_.parse());
    out.is_recursive = s_.skip_name("recursive");
    ++loops_;
    out.body = parse_body(opening, {"endfor", "else"});
    --loops_;
    if (s_.take().text == "else") {
      // The `else` of a recursive loop is part of its function.
      const uint32_t outer_loops = loops_;
      if (out.is_recursive) loops_ = 0;
      out.otherwise = parse_to_end(opening, "endfor");
      loops_ = outer_loops;
    }
    --for_tags_;
    return out;
  }

  decltype(statement::node) parse_set() {
    const token& opening = s_.take();
    target what = parse_target(target_use::set);
    if (s_.skip_op("=")) return set_statement{std::move(what), boxed(expressions_.parse_tuple())};
    set_block out;
    out.what = std::move(what);
    out.filters = expressions_.parse_filters(false);
    out.body = parse_to_end(opening, "endset");
    return out;
  }

  with_statement parse_with() {
    const token& opening = s_.take();
    with_statement out;
    while (!s_.current().is(token_kind::block_end)) {
      if (!out.variables.empty()) s_.expect_op(",");
      target what = parse_target(target_use::with);
      s_.expect_op("=");
      out.variables.push_back({std::move(what), expressions_.parse()});
    }
    out.body = parse_to_end(opening, "endwith");
    return out;
  }

  macro_statement parse_macro() {
    const token& opening = s_.take();
    auto out = std::make_unique<macro_definition>();
    out->line = opening.line;
    out->name = parse_plain_name();
    out->parameters = parse_parameters();
    out->body = parse_function_body(opening, "endmacro");
    return {std::move(out), {}};
  }

  call_block parse_call_block() {
    const token& opening = s_.take();
    auto body = std::make_unique<macro_definition>();
    body->line = opening.line;
    if (s_.current().is_op("(")) body->parameters = parse_parameters();
    call_block out;
    out.call = boxed(expressions_.parse());
    const auto* chain = std::get_if<postfix_chain>(&out.call->node);
    if (chain == nullptr || !std::holds_alternative<call_step>(chain->steps.back().what)) {
      s_.fail_at(opening, "'call' needs a call");
    }
    body->body = parse_function_body(opening, "endcall");
    out.body = std::move(body);
    return out;
  }

  call_block parse_generation() {
    const token& opening = s_.take();
    auto body = std::make_unique<macro_definition>();
    body->line = opening.line;
    body->body = parse_function_body(opening, "endgeneration");
    return {std::move(body), nullptr};
  }

  filter_block parse_filter_block() {
    const token& opening = s_.take();
    filter_block out;
    out.filters = expressions_.parse_filters(true);
    out.body = parse_to_end(opening, "endfilter");
    return out;
  }

  decltype(statement::node) parse_loop_control() {
    const token& t = s_.take();
    if (loops_ == 0) s_.fail_at(t, "'" + t.text + "' outside of a loop");
    if (t.text == "break") return break_statement{};
    return continue_statement{};
  }

  /// The loops around a function do not count inside it.
  block parse_function_body(const token& opening, std::string_view end) {
    const uint32_t outer_loops = std::exchange(loops_, 0);
    block out = parse_to_end(opening, end);
    loops_ = outer_loops;
    return out;
  }

  std::vector<parameter> parse_parameters() {
    std::vector<parameter> out;
    std::set<std::string_view> names;
    s_.expect_op("(");
    while (!s_.current().is_op(")")) {
      if (!out.empty()) s_.expect_op(",");
      parameter p;
      const token& name = s_.current();
      p.name = parse_plain_name();
      if (!names.insert(name.text).second) {
        s_.fail_at(name, "the parameter '" + p.name + "' comes twice");
      }
      if (s_.skip_op("=")) {
        p.otherwise = boxed(expressions_.parse());
      } else if (!out.empty() && out.back().otherwise) {
        s_.fail_at(name, "the parameter '" + p.name + "' needs a default like the one before");
      }
      out.push_back(std::move(p));
    }
    s_.expect_op(")");
    return out;
  }

  std::string parse_plain_name() {
    const token& t = s_.expect(token_kind::name);
    check_assignable(t);
    return t.text;
  }

  void check_assignable(const token& t) const {
    static constexpr std::array<std::string_view, 6> fixed = {"true", "false", "none",
                                                              "True", "False", "None"};
    if (std::find(fixed.begin(), fixed.end(), t.text) == fixed.end()) return;
    s_.fail_at(t, "'" + t.text + "' cannot be assigned");
  }

  /// A name, an attribute of a namespace, or a tuple of them.
  target parse_target(target_use use) {
    const token_stream::nesting level(s_);
    const uint32_t line = s_.current().line;
    const auto at_end = [&] {
      const token& t = s_.current();
      return t.is(token_kind::block_end) || t.is_op(")");
    };
    target first = parse_single_target(use);
    if (!s_.current().is_op(",")) return first;
    target out;
    out.what = target::kind::tuple;
    out.line = line;
    out.items.push_back(std::move(first));
    while (s_.skip_op(",") && !at_end()) out.items.push_back(parse_single_target(use));
    return out;
  }

  target parse_single_target(target_use use) {
    const token& t = s_.current();
    if (s_.skip_op("(")) {
      target out;
      out.what = target::kind::tuple;
      out.line = t.line;
      if (!s_.current().is_op(")"))
        out = parse_target(use == target_use::set ? target_use::set_inside : use);
      s_.expect_op(")");
      return out;
    }
    if (!t.is(token_kind::name)) s_.fail_here("cannot assign to " + describe(t));
    check_assignable(s_.take());
    if (t.text == "loop" && for_tags_ > 0 && use != target_use::with) {
      s_.fail_at(t, "'loop' cannot be assigned inside a loop");
    }
    target out;
    out.line = t.line;
    out.name = t.text;
    if (use == target_use::set && s_.skip_op(".")) {
      out.what = target::kind::attribute;
      out.attribute = s_.expect(token_kind::name).text;
    }
    return out;
  }

  token_stream& s_;
  expression_parser expressions_;
  uint32_t loops_ = 0;     ///< Loops around, within the same function.
  uint32_t for_tags_ = 0;  ///< All `for` tags around.
};

}  // namespace

std::shared_ptr<const program> parse_program(std::string source) {
  token_stream tokens(tokenize(source));
  auto out = std::make_shared<program>();
  out->body = statement_parser(tokens).parse_template();
  out->source = std::move(source);
  resolve_names(*out);
  return out;
}

}  // namespace llmos::jinja
