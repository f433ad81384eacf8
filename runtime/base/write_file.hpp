#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos {

/// Writes the whole file or nothing: the bytes go to a new file beside it, reach the disk, and
/// take its name. Only its owner may read a file that is made. Errors: io_error naming the path.
result<void> write_file(const std::string& path, std::string_view bytes);

}  // namespace llmos
