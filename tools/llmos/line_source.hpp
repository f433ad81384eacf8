#pragma once

#include <string>

#include "runtime/base/error.hpp"

namespace llmos {

/// What a wait for a line brought.
struct line_event {
  enum class kind {
    line,         ///< `text`, without its end; a paste may hold several.
    end,          ///< No more input: end of file, Ctrl-D.
    interrupted,  ///< Ctrl-C: what was typed is dropped.
    signal,       ///< Another signal, which ends the program.
    failed,       ///< `why`: the input cannot be read.
  };
  kind what = kind::end;
  std::string text = {};
  int signal = 0;
  failure why = {};
};

/// Where a shell's lines come from.
class line_source {
public:
  virtual ~line_source() = default;

  /// Waits for the next line. `more`: it goes on with one that began with """.
  virtual line_event read(bool more) = 0;

  /// Keeps one whole input, to be found again.
  virtual void remember(const std::string& input) = 0;
};

}  // namespace llmos
