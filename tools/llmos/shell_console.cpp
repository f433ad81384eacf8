#include "tools/llmos/shell_console.hpp"

#include "actors/gateway/shell/render.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

void shell_console::write(std::string_view text) {
  if (is_broken_) return;
  const auto written = is_terminal_ ? write_out(terminal_text(text)) : write_out(text);
  if (written) return;
  // Nobody reads any more, so nothing is left to do: the main thread need not wait for the answer.
  is_broken_ = true;
  if (written.error() != reader_gone()) error(written.error());
  next_ = next::leave;
  signals_.notify();
}

void shell_console::answer(std::string_view text) {
  write(text);
}

void shell_console::print(std::string_view lines) {
  write(lines);
}

void shell_console::note(std::string_view line) {
  write_error(line);
}

void shell_console::error(const failure& why) {
  auto none = exit_code::ok;
  first_error_.compare_exchange_strong(none, exit_code_of(why.code));
  const auto text =
      "error: " + why.text + "\n" + (why.hint.empty() ? "" : "hint: " + why.hint + "\n");
  write_error(is_terminal_ ? terminal_text(text) : text);
}

void shell_console::ready(next what) {
  if (is_broken_) return;
  next_ = what;
  signals_.notify();
}

}  // namespace llmos
