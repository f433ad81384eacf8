#pragma once

#include <string>

namespace llmos {

/// $HOME, or nothing.
std::string home_folder();

/// `path` with a leading "~" replaced by the home folder.
std::string expand_home(const std::string& path);

}  // namespace llmos
