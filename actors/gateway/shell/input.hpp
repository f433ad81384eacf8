#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos {

/// Longest input: a pipe may bring anything.
constexpr size_t max_input_bytes = 4u << 20;

/// One complete input.
struct shell_input {
  std::string text;
  bool literal = false;  ///< Stood in """: a question whatever it begins with.
  friend bool operator==(const shell_input&, const shell_input&) = default;
};

/// Joins lines to inputs. Text in """ goes on to the line that ends with """; it may stand alone (a
/// question) or after a command's name (`/system """`). A line end right after the opening quotes
/// and one right before the closing ones are not part of it.
class input_joiner {
public:
  /// Adds a line without its end (or several at once, as a paste brings them). The input when it is
  /// complete, nothing while """ is open. Errors: invalid_argument (no UTF-8, NUL), overloaded (too
  /// long); what was open is dropped then.
  result<std::optional<shell_input>> add(std::string_view line);

  /// Whether """ is open.
  bool open() const { return open_; }

  /// Drops what is open.
  void clear();

private:
  std::optional<shell_input> close_if_ended();

  bool open_ = false;
  std::string command_;  // "/system " before the quotes
  std::string body_;
};

}  // namespace llmos
