#pragma once

#include <string>

namespace llmos::examples {

/// Whether a text asks for a person: a word for one stands at most four words from a verb that asks
/// for one, as in "let me speak to a human" and "is there an agent I can call". English.
bool asks_for_person(const std::string& text);

}  // namespace llmos::examples
