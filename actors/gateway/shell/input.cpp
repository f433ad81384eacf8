#include "actors/gateway/shell/input.hpp"

#include <algorithm>
#include <utility>

#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

constexpr std::string_view quotes = "\"\"\"";
constexpr std::string_view blanks = " \t\r";

bool is_command_name(std::string_view x) {
  return x.size() > 1 && x[0] == '/' && x.find_first_of(" \t\n\"") == x.npos;
}

/// Where the opening """ stands: at the start of the line, or after a command's name and blanks.
std::optional<size_t> find_opening(std::string_view line) {
  const auto at = line.find(quotes);
  if (at == line.npos) return std::nullopt;
  const auto before = line.substr(0, at);
  const auto first = before.find_first_not_of(blanks);
  if (first == before.npos) return at;
  const auto last = before.find_last_not_of(blanks);
  if (last + 1 == before.size()) return std::nullopt;  // `/x"""`: no blank between them
  if (!is_command_name(before.substr(first, last - first + 1))) return std::nullopt;
  return at;
}

result<void> check_text(std::string_view line) {
  if (const auto bad = first_invalid_utf8(line)) {
    return failure{ec::invalid_argument,
                   "the input is not valid UTF-8 (byte " + std::to_string(*bad + 1) + ")",
                   "set the terminal or the file to UTF-8"};
  }
  if (line.find('\0') != line.npos) {
    return failure{ec::invalid_argument, "the input holds a NUL byte", "send text"};
  }
  return {};
}

}  // namespace

void input_joiner::clear() {
  open_ = false;
  command_.clear();
  body_.clear();
}

result<std::optional<shell_input>> input_joiner::add(std::string_view line) {
  auto fine = check_text(line);
  if (fine && body_.size() + line.size() > max_input_bytes) {
    fine = failure{ec::overloaded,
                   "the input is longer than " + std::to_string(max_input_bytes) + " bytes",
                   "send it in parts"};
  }
  if (!fine) {
    clear();
    return std::move(fine).error();
  }
  if (open_) {
    body_ += '\n';
    body_ += line;
    return close_if_ended();
  }
  const auto opening = find_opening(line);
  if (!opening) return std::optional{shell_input{std::string{line}, false}};
  open_ = true;
  const auto before = line.substr(0, *opening);
  if (before.find_first_not_of(blanks) != before.npos) command_ = before;
  body_ = line.substr(*opening + quotes.size());
  return close_if_ended();
}

std::optional<shell_input> input_joiner::close_if_ended() {
  const auto end = body_.find_last_not_of(blanks);
  if (end == body_.npos || !std::string_view{body_}.substr(0, end + 1).ends_with(quotes)) {
    return std::nullopt;
  }
  body_.resize(end + 1 - quotes.size());
  if (body_.ends_with('\n')) body_.pop_back();
  if (body_.starts_with('\n')) body_.erase(0, 1);
  shell_input out{command_ + body_, command_.empty()};
  clear();
  return out;
}

}  // namespace llmos
