#pragma once

#include <optional>
#include <string>

#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/line_source.hpp"

namespace llmos {

/// Lines of a pipe, a file or a plain terminal: no prompt, no editing, no history. Of a line longer
/// than the shell takes only so much is kept that the shell refuses it.
class pipe_lines : public line_source {
public:
  /// `fd` and `signals` must outlive it.
  pipe_lines(int fd, interrupts& signals) : fd_(fd), signals_(signals) {}

  line_event read(bool more) override;
  void remember(const std::string&) override {}

private:
  std::optional<std::string> take_line();
  std::optional<line_event> fill();

  int fd_;
  interrupts& signals_;
  std::string buffer_;
  bool skipping_ = false;  // the rest of a line that was too long
  bool ended_ = false;
};

}  // namespace llmos
