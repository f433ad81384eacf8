#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace llmos {

/// Folders of the control groups that bind this process, its own first, then their ancestors: of
/// the unified hierarchy, or of a version 1 controller ("memory"). Some may not exist: a container
/// sees its own group as the root. `root` stands before /proc and /sys, for tests.
std::vector<std::string> cgroup_folders(std::string_view controller = "",
                                        const std::string& root = "");

}  // namespace llmos
