#include "runtime/base/cgroup.hpp"

#include <fstream>

namespace llmos {

namespace {

/// Whether "cpu,memory" names the controller.
bool names(std::string_view list, std::string_view controller) {
  while (true) {
    const auto comma = list.find(',');
    if (list.substr(0, comma) == controller) return true;
    if (comma == list.npos) return false;
    list.remove_prefix(comma + 1);
  }
}

/// This process's group ("/user.slice/…"), or "". A line is "number:controllers:group".
std::string own_group(std::string_view controller, const std::string& root) {
  std::ifstream in{root + "/proc/self/cgroup"};
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string_view controllers{line.data() + first + 1, second - first - 1};
    if (names(controllers, controller)) return line.substr(second + 1);
  }
  return {};
}

}  // namespace

std::vector<std::string> cgroup_folders(std::string_view controller, const std::string& root) {
  std::string top = root + "/sys/fs/cgroup";
  if (!controller.empty()) top.append("/").append(controller);
  std::vector<std::string> folders;
  for (std::string group = own_group(controller, root);; group.resize(group.rfind('/'))) {
    folders.push_back(top + group);
    if (group.find('/') == group.npos) return folders;
  }
}

}  // namespace llmos
