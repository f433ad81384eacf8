#include "runtime/text/jinja/token_stream.hpp"

#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja/fault.hpp"

namespace llmos::jinja {

namespace {

const char* name_of(token_kind kind) {
  switch (kind) {
    case token_kind::data: return "text";
    case token_kind::variable_begin: return "'{{'";
    case token_kind::variable_end: return "'}}'";
    case token_kind::block_begin: return "'{%'";
    case token_kind::block_end: return "'%}'";
    case token_kind::name: return "a name";
    case token_kind::string: return "a string";
    case token_kind::integer:
    case token_kind::real: return "a number";
    case token_kind::op: return "an operator";
    case token_kind::end: return "the end of the template";
  }
  return "";
}

}  // namespace

std::string describe(const token& t) {
  const bool has_words = t.is(token_kind::name) || t.is(token_kind::op);
  return has_words ? "'" + t.text + "'" : name_of(t.kind);
}

const token& token_stream::take() {
  const token& t = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return t;
}

bool token_stream::skip_op(std::string_view op) {
  if (!current().is_op(op)) return false;
  take();
  return true;
}

bool token_stream::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  take();
  return true;
}

void token_stream::expect_op(std::string_view op) {
  if (!skip_op(op)) fail_here("expected '" + std::string(op) + "', got " + describe(current()));
}

void token_stream::expect_name(std::string_view name) {
  if (!skip_name(name))
    fail_here("expected '" + std::string(name) + "', got " + describe(current()));
}

const token& token_stream::expect(token_kind kind) {
  if (!current().is(kind)) {
    fail_here(std::string("expected ") + name_of(kind) + ", got " + describe(current()));
  }
  return take();
}

void token_stream::fail_at(const token& where, std::string text) const {
  throw fault{ec::bad_file, std::move(text), where.line, where.column};
}

void token_stream::fail_unsupported_at(const token& where, std::string text) const {
  throw fault{ec::unsupported, std::move(text), where.line, where.column};
}

token_stream::nesting::nesting(token_stream& s) : stream_(s) {
  constexpr uint32_t max_depth = template_limits{}.max_depth;
  if (s.depth_ >= max_depth) {
    throw fault{ec::over_limit, "the template nests deeper than " + std::to_string(max_depth),
                s.current().line, s.current().column};
  }
  ++s.depth_;
}

}  // namespace llmos::jinja
