#include "tools/examples/recommender/profile.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace llmos::examples {

namespace {

/// A name becomes a file's, so that it may not lead elsewhere.
result<void> check_user(const std::string& name) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; };
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_plain)) return {};
  return failure{ec::invalid_argument, "'" + name + "' is no name for a user",
                 "use letters, digits, - and _"};
}

failure refused(const std::string& path) {
  return {ec::io_error, path + ": " + std::strerror(errno), "choose another --profiles"};
}

}  // namespace

result<profile> profile::open(const std::string& folder, const std::string& user) {
  LLMOS_TRY_VOID(check_user(user));
  profile out;
  out.path_ = folder + "/" + user + ".jsonl";
  std::error_code unknown;  // then opening it says what is wrong
  if (!std::filesystem::exists(out.path_, unknown) && !unknown) return out;
  std::ifstream in(out.path_);
  if (!in) return refused(out.path_);
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    const auto like = nlohmann::json::parse(line, nullptr, false);
    if (!like.is_object() || !like.contains("item") || !like["item"].is_string()) {
      return failure{ec::bad_file, out.path_ + ":" + std::to_string(number) + " is no like",
                     "remove the line"};
    }
    if (!out.has(like["item"])) out.likes_.push_back(like["item"]);
  }
  return out;
}

bool profile::has(const std::string& id) const {
  return std::find(likes_.begin(), likes_.end(), id) != likes_.end();
}

result<void> profile::like(const std::string& id) {
  if (has(id)) return {};
  std::error_code exists;  // or cannot be made, which opening the file says
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), exists);
  std::ofstream out(path_, std::ios::app);
  out << nlohmann::json{{"item", id}}.dump() + "\n" << std::flush;
  if (!out) return refused(path_);
  likes_.push_back(id);
  return {};
}

}  // namespace llmos::examples
