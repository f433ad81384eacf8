#pragma once

#include <string>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// str(x), as an Output node prints it.
std::string to_str(machine& m, const value& x);
/// The same as a value; a str stays itself.
value to_str_value(machine& m, const value& x);
/// repr(x), as containers print their items.
std::string to_repr(machine& m, const value& x);
/// repr of a str: its quotes and escapes.
std::string quote(machine& m, std::string_view s);

/// escape(): the five HTML characters as entities.
std::string escape_html(machine& m, std::string_view s);

}  // namespace llmos::jinja
