#pragma once

#include <optional>
#include <string_view>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// A method of a builtin Python type.
struct method {
  using function = value (*)(machine& m, const value& self, const arguments& args);

  std::string_view name;
  function call = nullptr;    ///< nullptr: Python has it, this build does not.
  bool is_forbidden = false;  ///< It would change its object: the sandbox refuses it.
};

/// The method `name` of x's type, or nullptr if Python has none.
const method* find_method(const value& x, std::string_view name);

/// The tables that find_method searches, by type.
const method* find_text_method(std::string_view name);
const method* find_dict_method(std::string_view name);
const method* find_sequence_method(std::string_view name, bool is_tuple);

/// str.format and the % operator on str.
value format_braces(machine& m, const value& self, const arguments& args);
value format_percent(machine& m, const value& format, const value& operand);

/// s.replace(old, fresh, count); count < 0: all. Markup if s is.
value replace_text(machine& m, const text& s, const text& old, const text& fresh, int64_t count);
/// The line of s that begins at `pos`, up to one of Python's line ends, behind which `pos` moves.
/// REQUIRES: pos < s.size().
std::string_view take_line(std::string_view s, size_t& pos, bool keep_end);

}  // namespace llmos::jinja
