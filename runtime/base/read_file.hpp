#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.hpp"

namespace llmos {

/// The whole file as bytes. Errors: not_found, io_error (a folder, no permission), bad_file when it
/// holds more than `max_bytes` (nothing beyond them is read); the text names the path.
result<std::string> read_file(const std::string& path, uint64_t max_bytes);

/// The rest of an open file as bytes; `name` stands in for the path.
result<std::string> read_descriptor(int fd, const std::string& name, uint64_t max_bytes);

}  // namespace llmos
