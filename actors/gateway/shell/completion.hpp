#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace llmos {

/// Where candidates come from that the shell does not know by itself.
struct completion_sources {
  std::vector<std::string> keys;                     ///< Of /set.
  std::function<std::vector<std::string>()> models;  ///< Asked when they are needed.
  std::function<std::vector<std::string>(const std::string& path)> files;  ///< That begin so.
};

/// What TAB may do with the text before the cursor.
struct completion {
  size_t begin = 0;                  ///< Where the word starts that is completed.
  std::vector<std::string> options;  ///< What may stand there, sorted; a folder ends with '/'.

  /// The longest text that all options begin with.
  std::string common() const;
};

/// Commands, keys of /set, names for /show, models for /load and /unload, files for /read, /save
/// and model paths. Nothing in a question.
completion complete(std::string_view before_cursor, const completion_sources& sources);

/// The files and folders that `path` may begin: "ac" → "actors/", "~/no" → "~/notes.md".
std::vector<std::string> complete_path(const std::string& path);

}  // namespace llmos
