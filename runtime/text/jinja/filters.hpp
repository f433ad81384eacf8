#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runtime/text/jinja/builtins.hpp"

namespace llmos::jinja {

/// The filters by subject; find_filter searches all three.
std::span<const builtin_filter> text_filters();
std::span<const builtin_filter> sequence_filters();
std::span<const builtin_filter> number_filters();

/// Throws when an attribute of a filter is too long: every "." or "," in it becomes something.
void check_attribute_length(size_t bytes);

/// The path that filters take into an item: "a.b.0", an index, or nothing for the item itself.
class attribute_path {
public:
  /// `otherwise` replaces what is undefined on the way. `folds_case`: a str at the end is lowered.
  attribute_path(machine& m, const value* attribute, bool folds_case,
                 const value* otherwise = nullptr);

  value get(machine& m, const value& item) const;

private:
  std::vector<value> parts_;
  bool folds_case_;
  std::optional<value> otherwise_;
};

}  // namespace llmos::jinja
