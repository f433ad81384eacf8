#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace llmos {

/// Single-character insertions, deletions and replacements that turn a into b.
size_t edit_distance(std::string_view a, std::string_view b);

/// The known name that a person most likely meant: one whose last dotted part equals `name`, else
/// the one with the fewest typing errors, at most a third of the name. The first wins a tie.
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);

}  // namespace llmos
