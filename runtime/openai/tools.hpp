#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

/// Who chooses whether the model calls a tool.
struct tool_choice {
  enum class kind : uint8_t {
    none,       ///< No calls: the model is not told of the tools.
    automatic,  ///< The model chooses.
    required,   ///< At least one call.
    function,   ///< Calls of this function only: the model is told of no other.
  };
  kind what = kind::automatic;
  std::string function;
};

/// Tools of functions, checked and without nulls. An empty list is null: no tools.
outcome<json> read_tools(const json& value);

/// The names of the functions in such a list.
std::vector<std::string> names_of_tools(const json& tools);

/// REQUIRES: `tools` of read_tools.
outcome<tool_choice> read_tool_choice(const json& value, const json& tools);

}  // namespace llmos::openai
