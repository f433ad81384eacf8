#pragma once

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "runtime/openai/api_error.hpp"

namespace llmos::openai {

using json = nlohmann::ordered_json;

/// Deepest nesting of arrays and objects that a client may send.
constexpr size_t max_body_depth = 64;
/// Most values in one body: each takes some forty bytes here, and two in the body.
constexpr size_t max_body_values = size_t{1} << 18;

/// Reads a body within those limits, which are checked while it is read: nothing deeper or larger
/// is ever held, and the work is linear in the body. Refused as well: a name that stands twice in
/// an object, a number that no double holds, text that is not UTF-8.
outcome<json> parse_body(std::string_view text);

/// The same, of an object.
outcome<json> parse_object(std::string_view text);

}  // namespace llmos::openai
