#pragma once

#include <string_view>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// x|name(args)
struct builtin_filter {
  std::string_view name;
  value (*apply)(machine& m, const value& x, const arguments& args);
};

/// x is name(args)
struct builtin_test {
  std::string_view name;
  bool (*holds)(machine& m, const value& x, const arguments& args);
};

/// nullptr if this build does not have it.
const builtin_filter* find_filter(std::string_view name);
const builtin_test* find_test(std::string_view name);

/// The function `range`, `dict`, `namespace` … of that name; missing if there is none.
value find_global(machine& m, std::string_view name);

}  // namespace llmos::jinja
