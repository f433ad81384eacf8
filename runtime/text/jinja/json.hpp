#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// The Python value of a JSON document. Outside the memory budget: it is the request's own size.
/// Text that is not UTF-8 gets U+FFFD. Throws when it nests too deeply.
value from_json(const nlohmann::ordered_json& x);

struct json_style {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< Of one level; nothing: one line.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// json.dumps(x). Throws for what Python cannot serialise.
std::string to_json(machine& m, const value& x, const json_style& style);

}  // namespace llmos::jinja
