#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

/// What a person typed, kept over runs: a text file, one input per line (`\n` and `\\` escaped),
/// readable by its owner alone. Shells that run at the same time append to it; none loses lines.
class history_file {
public:
  static constexpr size_t max_entries = 2000;
  static constexpr size_t max_entry_bytes = 64u << 10;

  explicit history_file(std::string path) : path_(std::move(path)) {}

  /// The last `max_entries` inputs, oldest first; none when there is no file. Makes the folder and
  /// shortens a file that has grown beyond twice that. Errors: io_error, bad_file.
  result<std::vector<std::string>> load();

  /// Adds an input; longer ones than `max_entry_bytes` are not kept. Errors: io_error.
  result<void> append(const std::string& entry);

  const std::string& path() const { return path_; }

private:
  std::string path_;
};

}  // namespace llmos
