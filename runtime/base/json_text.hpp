#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos {

/// Deepest nesting of arrays and objects that is read: who walks a value may recurse.
constexpr uint32_t max_json_depth = 128;

/// Reads one JSON value. Errors: bad_file "name:line:column: …" (no JSON, invalid UTF-8, nested
/// deeper than max_json_depth, a number that no double holds). `first_line`: the line of the file
/// that the text starts with.
result<nlohmann::ordered_json> parse_json(std::string_view text, const std::string& name,
                                          uint32_t first_line = 1);

}  // namespace llmos
