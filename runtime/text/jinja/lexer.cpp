#include "runtime/text/jinja/lexer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

constexpr size_t npos = std::string_view::npos;

/// Line ends as \n; without the last one.
std::string normalize_newlines(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); ++i) {
    out += s[i] == '\r' ? '\n' : s[i];
    if (s[i] == '\r' && i + 1 < s.size() && s[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_digit_of(char c, int base) {
  if (base <= 10) return c >= '0' && c < '0' + base;
  return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

bool is_word(char32_t c) {
  return c == '_' || is_alnum(c);
}

class lexer {
public:
  explicit lexer(std::string source) : source_(std::move(source)) {}

  std::vector<token> run() {
    while (pos_ < source_.size()) read_outside();
    add(token_kind::end, "");
    return std::move(tokens_);
  }

private:
  char peek(size_t ahead = 0) const {
    return pos_ + ahead < source_.size() ? source_[pos_ + ahead] : '\0';
  }

  std::string_view rest() const { return std::string_view(source_).substr(pos_); }

  /// Moves on and keeps count of the lines.
  void advance(size_t n) {
    for (const size_t end = pos_ + n; pos_ < end; ++pos_) {
      if (source_[pos_] != '\n') continue;
      ++line_;
      line_start_ = pos_ + 1;
    }
  }

  void skip_space() {
    while (pos_ < source_.size()) {
      size_t next = pos_;
      if (!is_space(next_code_point(source_, next))) break;
      advance(next - pos_);
    }
  }

  void add(token_kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_, column()});
  }

  uint32_t column() const { return static_cast<uint32_t>(pos_ - line_start_ + 1); }

  [[noreturn]] void fail_here(std::string text) const {
    throw fault{ec::bad_file, std::move(text), line_, column()};
  }

  // --- outside of tags ---------------------------------------------------------------------------

  /// Reads text up to the next tag, and the tag.
  void read_outside() {
    size_t open = pos_;
    while (true) {
      open = source_.find('{', open);
      if (open == npos || open + 1 == source_.size()) {
        add_data(rest());
        return advance(source_.size() - pos_);
      }
      const char c = source_[open + 1];
      if (c == '{' || c == '%' || c == '#') break;
      ++open;
    }
    const char tag = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    const std::string_view before = rest().substr(0, open - pos_);
    add_data(stripped(before, has_sign ? sign : '\0', tag != '{'));
    advance(before.size());
    const size_t raw = tag == '%' ? raw_tag_length("raw", false) : 0;
    if (raw > 0) return read_raw(raw);
    if (tag == '#') return read_comment(has_sign ? 3 : 2);
    read_tag(tag == '%', has_sign ? 3 : 2);
  }

  void add_data(std::string_view s) {
    if (!s.empty()) add(token_kind::data, std::string(s));
  }

  /// What is left of the text before a tag: `-` takes all whitespace, a block without `+` takes its
  /// own indentation.
  std::string_view stripped(std::string_view s, char sign, bool is_block) const {
    if (sign == '-') return strip_right(s);
    if (sign == '+' || !is_block) return s;
    const size_t line = s.rfind('\n') + 1;  // npos + 1 is 0
    if (line == 0 && !at_line_start_) return s;
    return strip_right(s.substr(line)).empty() ? s.substr(0, line) : s;
  }

  /// Moves behind a tag's end of `n` characters and what it swallows: `-` all whitespace, `+`
  /// nothing, else one newline if `trims`.
  void close(size_t n, char sign, bool trims) {
    const size_t from = pos_;
    advance(n);
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && trims && peek() == '\n') {
      advance(1);
    }
    at_line_start_ = pos_ > from && source_[pos_ - 1] == '\n';
  }

  void read_comment(size_t opening) {
    // Jinja lets a comment or a raw block open at the very end, so nothing is lost with it.
    const size_t end = source_.find("#}", pos_ + opening);
    if (end == npos && pos_ + opening == source_.size()) return advance(opening);
    if (end == npos) fail_here("the comment does not end");
    const char sign = end > pos_ + opening ? source_[end - 1] : '\0';
    close(end + 2 - pos_, sign, true);
  }

  /// Length of a tag `{% word %}` at `at`, 0 if it is none. Its closing sign goes to `sign`.
  size_t raw_tag_length(std::string_view word, bool may_end_with_plus, size_t at = npos,
                        char* sign = nullptr) const {
    const std::string_view s = std::string_view(source_).substr(at == npos ? pos_ : at);
    if (!s.starts_with("{%")) return 0;
    size_t i = 2;
    if (i < s.size() && (s[i] == '-' || s[i] == '+')) ++i;
    const auto skip = [&] { i = s.size() - strip_left(s.substr(i)).size(); };
    skip();
    if (!s.substr(i).starts_with(word)) return 0;
    i += word.size();
    skip();
    const char c = i < s.size() ? s[i] : '\0';
    if (c == '-' || (c == '+' && may_end_with_plus)) {
      if (sign != nullptr) *sign = c;
      ++i;
    }
    return s.substr(i).starts_with("%}") ? i + 2 : 0;
  }

  /// {% raw %} … {% endraw %}: the text between, as it stands.
  void read_raw(size_t opening) {
    close(opening, source_[pos_ + opening - 3], false);
    for (size_t at = source_.find("{%", pos_); at != npos; at = source_.find("{%", at + 1)) {
      char sign = '\0';
      const size_t n = raw_tag_length("endraw", true, at, &sign);
      if (n == 0) continue;
      const char open_sign = source_[at + 2];
      const std::string_view body = rest().substr(0, at - pos_);
      add_data(stripped(body, open_sign, true));
      advance(body.size());
      return close(n, sign, true);
    }
    if (pos_ < source_.size()) fail_here("{% raw %} does not end");
  }

  // --- inside of tags ----------------------------------------------------------------------------

  void read_tag(bool is_block, size_t opening) {
    const uint32_t line = line_, at = column();
    add(is_block ? token_kind::block_begin : token_kind::variable_begin, "");
    advance(opening);
    brackets_.clear();
    while (pos_ < source_.size()) {
      if (brackets_.empty() && read_end(is_block)) return;
      read_token();
    }
    throw fault{ec::bad_file, is_block ? "the tag '{%' does not end" : "the tag '{{' does not end",
                line, at};
  }

  bool read_end(bool is_block) {
    const std::string_view end = is_block ? "%}" : "}}";
    const char sign = peek() == '-' || (is_block && peek() == '+') ? peek() : '\0';
    const size_t n = sign != '\0' ? 1 : 0;
    if (!rest().substr(n).starts_with(end)) return false;
    add(is_block ? token_kind::block_end : token_kind::variable_end, "");
    close(n + 2, sign, is_block);
    return true;
  }

  void read_token() {
    size_t next = pos_;
    const char32_t c = next_code_point(source_, next);
    if (is_space(c)) return skip_space();
    if (is_digit(peek())) return read_number();
    if (is_word(c)) return read_name();
    if (c == '"' || c == '\'') return read_string(static_cast<char>(c));
    read_operator();
  }

  void read_name() {
    size_t end = pos_;
    if (is_numeric(next_code_point(source_, end))) fail_here("no name begins with a digit");
    for (size_t next = end; next < source_.size(); end = next) {
      if (!is_word(next_code_point(source_, next))) break;
    }
    add(token_kind::name, source_.substr(pos_, end - pos_));
    advance(end - pos_);
  }

  /// Length of digits of `base` from `at` on, single underscores between them.
  size_t digits_length(size_t at, int base = 10) const {
    size_t i = at;
    while (i < source_.size()) {
      const size_t digit = source_[i] == '_' && i > at ? i + 1 : i;
      if (digit >= source_.size() || !is_digit_of(source_[digit], base)) break;
      i = digit + 1;
    }
    return i - at;
  }

  void read_number() {
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
    const size_t n = after_dot ? 0 : real_length();
    if (n > 0) return add_number(token_kind::real, n);
    add_number(token_kind::integer, integer_length());
  }

  void add_number(token_kind kind, size_t n) {
    std::string digits = source_.substr(pos_, n);
    std::erase(digits, '_');
    add(kind, std::move(digits));
    advance(n);
  }

  /// Length of the float at the position, 0 if there is none.
  size_t real_length() const {
    size_t n = digits_length(pos_);
    const auto at = [&](size_t i) { return i < source_.size() ? source_[i] : '\0'; };
    bool is_real = false;
    if (at(pos_ + n) == '.') {
      const size_t fraction = digits_length(pos_ + n + 1);
      if (fraction > 0) n += fraction + 1;
      is_real = fraction > 0;
    }
    if ((at(pos_ + n) | 0x20) == 'e') {
      const size_t sign = at(pos_ + n + 1) == '+' || at(pos_ + n + 1) == '-' ? 1 : 0;
      const size_t exponent = digits_length(pos_ + n + 1 + sign);
      if (exponent > 0) return n + 1 + sign + exponent;
    }
    return is_real ? n : 0;
  }

  size_t integer_length() const {
    if (peek() != '0') return digits_length(pos_);
    const char letter = static_cast<char>(peek(1) | 0x20);
    const int base = letter == 'b' ? 2 : letter == 'o' ? 8 : letter == 'x' ? 16 : 0;
    if (base != 0) {
      const size_t underscore = peek(2) == '_' ? 1 : 0;
      const size_t n = digits_length(pos_ + 2 + underscore, base);
      if (n > 0) return n + 2 + underscore;
    }
    return digits_length(pos_, 1);  // a decimal zero has no digits but zeros
  }

  void read_operator() {
    static constexpr std::array<std::string_view, 26> operators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* it = std::find_if(operators.begin(), operators.end(),
                                  [this](std::string_view s) { return rest().starts_with(s); });
    if (it == operators.end()) {
      size_t next = pos_;
      next_code_point(source_, next);
      fail_here("unexpected character '" + source_.substr(pos_, next - pos_) + "'");
    }
    balance((*it)[0]);
    add(token_kind::op, std::string(*it));
    advance(it->size());
  }

  void balance(char c) {
    static constexpr std::string_view opening = "([{", closing = ")]}";
    if (const size_t i = opening.find(c); i != npos) brackets_ += closing[i];
    if (closing.find(c) == npos) return;
    if (brackets_.empty() || brackets_.back() != c) {
      fail_here(std::string("unexpected '") + c + "'");
    }
    brackets_.pop_back();
  }

  // --- strings -----------------------------------------------------------------------------------

  void read_string(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_here("the string does not end");
    add(token_kind::string, unescape(rest().substr(1, end - pos_ - 1)));
    advance(end + 1 - pos_);
  }

  /// Python's escapes; an unknown one stands for itself.
  std::string unescape(std::string_view s) const {
    std::string out;
    for (size_t i = 0; i < s.size();) {
      if (s[i] != '\\') {
        out += s[i++];
        continue;
      }
      const char c = s[i + 1];  // read_string saw to it that one follows
      i += 2;
      switch (c) {
        case '\n': break;
        case '\\':
        case '\'':
        case '"': out += c; break;
        case 'a': out += '\a'; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'v': out += '\v'; break;
        case 'x': append_escape(out, s, i, 2); break;
        case 'u': append_escape(out, s, i, 4); break;
        case 'U': append_escape(out, s, i, 8); break;
        case 'N': throw fault{ec::unsupported, "the escape \\N{…}", line_, column()};
        default:
          if (c >= '0' && c <= '7') {
            append_octal(out, s, --i);
          } else {
            out += {'\\', c};
          }
      }
    }
    return out;
  }

  void append_escape(std::string& out, std::string_view s, size_t& i, size_t digits) const {
    uint32_t c = 0;
    for (size_t k = 0; k < digits; ++k, ++i) {
      if (i >= s.size() || !is_digit_of(s[i], 16)) fail_here("the escape in the string is cut off");
      c = c * 16 + static_cast<uint32_t>(is_digit(s[i]) ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
    }
    append_character(out, c);
  }

  void append_octal(std::string& out, std::string_view s, size_t& i) const {
    uint32_t c = 0;
    for (size_t k = 0; k < 3 && i < s.size() && is_digit_of(s[i], 8); ++k, ++i) {
      c = c * 8 + static_cast<uint32_t>(s[i] - '0');
    }
    append_character(out, c);
  }

  void append_character(std::string& out, uint32_t c) const {
    if (c > 0x10ffff) fail_here("the escape in the string is no character");
    if (c >= 0xd800 && c < 0xe000) {
      throw fault{ec::unsupported, "a lone surrogate in a string", line_, column()};
    }
    append_utf8(out, c);
  }

  std::string source_;
  size_t pos_ = 0;
  uint32_t line_ = 1;
  size_t line_start_ = 0;
  bool at_line_start_ = true;  ///< The tag before ended with a line: what follows starts one.
  std::string brackets_;       ///< The closing brackets that are due.
  std::vector<token> tokens_;
};

}  // namespace

std::vector<token> tokenize(std::string_view source) {
  return lexer(normalize_newlines(source)).run();
}

}  // namespace llmos::jinja
