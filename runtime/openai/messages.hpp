#pragma once

#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

/// The messages of a chat as chat templates read them: content is one text (parts are joined with
/// line ends) or null, developer is system, and the arguments of calls are objects. Anything that
/// would be lost on the way is refused by name.
outcome<json> read_messages(const json& value);

}  // namespace llmos::openai
