#pragma once

#include <llmos/client.hpp>
#include <string>
#include <vector>

namespace llmos::examples {

/// What one user likes: a file USER.jsonl with a line {"item": ID} for each like, in the order in
/// which they came. It is only ever added to.
class profile {
public:
  /// Reads what is there; a file that is missing is an empty profile. Errors: invalid_argument (no
  /// name for a user), io_error, bad_file naming the line.
  static result<profile> open(const std::string& folder, const std::string& user);

  /// Ids, each once.
  const std::vector<std::string>& likes() const { return likes_; }
  bool has(const std::string& id) const;

  /// Records a like; one that is there stays as it is. Errors: io_error.
  result<void> like(const std::string& id);

private:
  std::string path_;
  std::vector<std::string> likes_;
};

}  // namespace llmos::examples
