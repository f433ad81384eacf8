#pragma once

#include <string>

#include "runtime/base/result.hpp"

namespace llmos {

/// Where log lines go from now on: to standard error, or appended to `file`. Rooms log through
/// spdlog's default logger (`spdlog::warn(…)`); prompts and answers never appear in a line unless
/// log.content is on. `level`: trace, debug, info, warn, error or off. Errors: io_error.
result<void> set_up_log(const std::string& level, const std::string& file);

}  // namespace llmos
