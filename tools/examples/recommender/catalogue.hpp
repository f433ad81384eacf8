#pragma once

#include <llmos/client.hpp>
#include <string>
#include <vector>

namespace llmos::examples {

struct item {
  std::string id, title, category, description;
};
using catalogue = std::vector<item>;

/// An array of objects with these four texts. Errors: bad_file naming `path` and the item: a text
/// is missing, has more than one line, or an id is there twice.
result<catalogue> read_catalogue(const std::string& text, const std::string& path);

/// The item with the id, or null.
const item* find_item(const catalogue& all, const std::string& id);

}  // namespace llmos::examples
