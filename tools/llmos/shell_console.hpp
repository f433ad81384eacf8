#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "actors/gateway/shell/output.hpp"
#include "tools/llmos/command_line.hpp"
#include "tools/llmos/interrupts.hpp"

namespace llmos {

/// Standard output and standard error as a shell's output: answers and what commands show go to the
/// first, errors and notes to the second. On a terminal nothing printed can steer it. The shell's
/// thread speaks; the main thread waits for `ready` through `interrupts`.
class shell_console : public shell_output {
public:
  /// `signals` must outlive it.
  shell_console(interrupts& signals, bool is_terminal)
      : signals_(signals), is_terminal_(is_terminal) {}

  void answer(std::string_view text) override;
  void print(std::string_view lines) override;
  void note(std::string_view line) override;
  void error(const failure& why) override;
  void ready(next what) override;

  /// What the last `ready` said. Of the main thread, as the next.
  next last_ready() const { return next_; }

  /// Ctrl-C dropped an input that began with """: the next one is a new one.
  void dropped() { next_ = next::prompt; }

  /// The kind of end that the first error means; ok when there was none.
  exit_code first_error() const { return first_error_; }

private:
  void write(std::string_view text);

  interrupts& signals_;
  const bool is_terminal_;
  std::atomic<next> next_{next::prompt};
  std::atomic<exit_code> first_error_{exit_code::ok};
  std::atomic<bool> is_broken_{false};  // standard output takes no more
};

}  // namespace llmos
