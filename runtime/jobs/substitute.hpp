#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.hpp"
#include "runtime/jobs/rows.hpp"

namespace llmos {

/// Replaces each `{{ name }}` by its value. Values are not looked into again. `{{ "text" }}` and
/// `{{ 'text' }}` give the text itself: how braces are written. Errors: invalid_argument (an
/// unknown name, with the known ones; braces that never close).
result<std::string> substitute(std::string_view text, const variable_map& values);

}  // namespace llmos
