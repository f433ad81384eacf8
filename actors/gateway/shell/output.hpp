#pragma once

#include <string_view>

#include "runtime/base/error.hpp"

namespace llmos {

/// Where a shell speaks. Called from the shell's thread; must not throw.
class shell_output {
public:
  /// What the shell wants after an input.
  enum class next {
    prompt,  ///< Another input.
    more,    ///< The rest of one that began with """.
    leave,   ///< Nothing.
  };

  virtual ~shell_output() = default;

  virtual void answer(std::string_view text) = 0;  ///< More of an answer, as it comes.
  virtual void print(std::string_view lines) = 0;  ///< What a command shows.
  virtual void note(std::string_view line) = 0;    ///< About an answer: how it ended, its timing.
  virtual void error(const failure& why) = 0;
  virtual void ready(next what) = 0;  ///< The input is dealt with; exactly once for each.
};

}  // namespace llmos
