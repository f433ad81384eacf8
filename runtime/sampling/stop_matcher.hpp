#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmos {

/// Finds stop strings in text that arrives in pieces, and holds back only what may still become
/// one. The leftmost stop string ends the text, however the pieces are cut: a stop string that is
/// complete waits while one that began before it may still complete. Of those that begin at the
/// same byte the longest complete one counts, and none waits for a longer one.
class stop_matcher {
public:
  /// REQUIRES: no string is empty. Strings of whole UTF-8 characters never hold back half of one.
  explicit stop_matcher(std::vector<std::string> stops);

  /// Takes the next piece; returns the text that is certain to come before any stop string.
  /// After a match it takes and returns nothing.
  std::string push(std::string_view text);

  /// Ends the text: what was held back, up to the stop string if it holds a complete one.
  std::string flush();

  /// The stop string that ended the text.
  const std::optional<std::string>& matched() const { return matched_; }

private:
  std::string advance(bool is_end);

  std::vector<std::string> stops_;
  std::string held_;  // its first byte may begin a stop string
  std::optional<std::string> matched_;
};

}  // namespace llmos
