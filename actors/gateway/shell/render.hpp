#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/schedule/request.hpp"

namespace llmos {

/// The generations that run as a table, oldest first.
std::string render_processes(std::vector<process_info> processes);

/// The models as a table; `*` marks the default.
std::string render_models(const std::vector<model_status>& models);

/// "llama 135M, 93.8 MiB: ready"
std::string render_model(const model_status& model);

/// Text for a terminal: what would steer it (escape sequences, other control characters) becomes
/// visible ("\x1b"); line ends, tabs and everything printable stay. A model or a file may hold
/// anything. A character that is cut by the end of `text` must not be: chunks never are.
std::string terminal_text(std::string_view text);

}  // namespace llmos
