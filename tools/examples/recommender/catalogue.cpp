#include "tools/examples/recommender/catalogue.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace llmos::examples {

namespace {

/// A text of one line, or nothing.
std::string line_of(const nlohmann::json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_string()) return "";
  auto out = found->get<std::string>();
  return out.find('\n') == std::string::npos ? out : "";
}

result<item> read_item(const nlohmann::json& x, const std::string& what) {
  const failure unfit{ec::bad_file, what + " is not what an item has to be",
                      "give it an id, a title, a category and a description of one line each"};
  if (!x.is_object()) return unfit;
  item out{line_of(x, "id"), line_of(x, "title"), line_of(x, "category"),
           line_of(x, "description")};
  const bool is_whole =
      !out.id.empty() && !out.title.empty() && !out.category.empty() && !out.description.empty();
  if (!is_whole) return unfit;
  return out;
}

}  // namespace

result<catalogue> read_catalogue(const std::string& text, const std::string& path) {
  const auto all = nlohmann::json::parse(text, nullptr, false);
  if (!all.is_array()) {
    return failure{ec::bad_file, path + " is no array of JSON", "see the example's catalogue.json"};
  }
  catalogue out;
  for (const auto& x : all) {
    const auto what = path + ": item " + std::to_string(out.size());
    LLMOS_TRY(auto read, read_item(x, what));
    if (find_item(out, read.id) != nullptr) {
      return failure{ec::bad_file, what + " has the id '" + read.id + "' of another",
                     "give it one of its own"};
    }
    out.push_back(std::move(read));
  }
  return out;
}

const item* find_item(const catalogue& all, const std::string& id) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const item& x) { return x.id == id; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace llmos::examples
