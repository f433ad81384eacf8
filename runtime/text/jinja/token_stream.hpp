#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja/lexer.hpp"

namespace llmos::jinja {

/// The tokens of a template with a position that never passes the end.
class token_stream {
public:
  explicit token_stream(std::vector<token> tokens) : tokens_(std::move(tokens)) {}

  const token& current() const { return tokens_[at_]; }
  const token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const token& take();

  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  /// Throw bad_file if something else comes.
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  const token& expect(token_kind kind);

  [[noreturn]] void fail_at(const token& where, std::string text) const;
  [[noreturn]] void fail_here(std::string text) const { fail_at(current(), std::move(text)); }
  [[noreturn]] void fail_unsupported_at(const token& where, std::string text) const;

  /// One level of nesting of the source; throws when there are too many.
  class nesting {
  public:
    explicit nesting(token_stream& s);
    ~nesting() { --stream_.depth_; }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;

  private:
    token_stream& stream_;
  };

private:
  std::vector<token> tokens_;
  size_t at_ = 0;
  uint32_t depth_ = 0;
};

/// "'else'", "a name", "the end of the template" …, for error texts.
std::string describe(const token& t);

}  // namespace llmos::jinja
