#pragma once

#include <histedit.h>

#include <memory>
#include <optional>
#include <string>

#include "actors/gateway/shell/completion.hpp"
#include "actors/gateway/shell/history_file.hpp"
#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/line_source.hpp"

namespace llmos {

/// Lines that a person types at a terminal: editing, history, completion and pasting of several
/// lines, by libedit. Ctrl-C arrives as a signal like everywhere else, so that one place reads it.
class line_editor : public line_source {
public:
  /// `signals` must outlive it; it watches SIGTSTP and SIGWINCH too. The locale's character type
  /// is set to UTF-8. Errors of the history are said once on standard error.
  line_editor(interrupts& signals, completion_sources sources, history_file history);
  ~line_editor() override;
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  line_event read(bool more) override;
  void remember(const std::string& input) override;

private:
  static line_editor& of(EditLine* el);
  static wchar_t* prompt(EditLine* el);
  static int read_character(EditLine* el, wchar_t* out);
  static unsigned char complete_word(EditLine* el, int);
  static unsigned char paste(EditLine* el, int);

  void set_up();
  void load_history();
  void history_failed(const failure& why);
  std::optional<wchar_t> take_character();
  bool handle(int signal);
  void show_options(const std::vector<std::string>& options) const;

  interrupts& signals_;
  completion_sources sources_;
  history_file file_;
  bool file_works_ = true;
  HistoryW* history_;
  EditLine* el_;
  bool is_dumb_;
  bool more_ = false;
  std::string bytes_;                // read and not yet given to libedit
  std::optional<line_event> event_;  // what ended the line instead of Enter
};

}  // namespace llmos
