#include "runtime/base/home.hpp"

#include <cstdlib>

namespace llmos {

std::string home_folder() {
  const char* home = std::getenv("HOME");
  return home != nullptr ? home : "";
}

std::string expand_home(const std::string& path) {
  return path == "~" || path.starts_with("~/") ? home_folder() + path.substr(1) : path;
}

}  // namespace llmos
