#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.hpp"
#include "runtime/jobs/rows.hpp"

namespace llmos {

/// A variable's value inside a text: a text as it is, anything else as JSON.
std::string text_of(const nlohmann::ordered_json& value);

/// The name in a text that is exactly one `{{ name }}`: such a field takes the variable's value
/// with its type.
std::optional<std::string> lone_variable(std::string_view text);

/// Errors: invalid_argument (an unknown name, with the known ones). The value lives in `values`.
result<const nlohmann::ordered_json*> find_variable(std::string_view name,
                                                    const variable_map& values);

/// Replaces each `{{ name }}` by its value. Values are not looked into again. `{{ "text" }}` and
/// `{{ 'text' }}` give the text itself: how braces are written. Errors: invalid_argument (an
/// unknown name, with the known ones; braces that never close).
result<std::string> substitute(std::string_view text, const variable_map& values);

}  // namespace llmos
