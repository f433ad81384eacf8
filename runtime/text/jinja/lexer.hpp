#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmos::jinja {

enum class token_kind : uint8_t {
  data,  ///< Text outside all tags.
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,  ///< An operator or bracket; its characters are the text.
  end,
};

struct token {
  token_kind kind = token_kind::end;
  std::string text;  ///< Strings are unescaped.
  uint32_t line = 0;
  uint32_t column = 0;

  bool is(token_kind k) const { return kind == k; }
  bool is_op(std::string_view s) const { return kind == token_kind::op && text == s; }
  bool is_name(std::string_view s) const { return kind == token_kind::name && text == s; }
};

/// Splits a template with trim_blocks and lstrip_blocks on; one newline at its very end is dropped.
/// The last token is `end`. Throws bad_file with line and column.
std::vector<token> tokenize(std::string_view source);

}  // namespace llmos::jinja
