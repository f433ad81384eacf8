#pragma once

#include "runtime/config/node_config.hpp"
#include "runtime/jobs/outcome.hpp"

namespace llmos {

/// Writes a request and its answer into the log, at level debug, when log.content allows it. The
/// one place where what people write reaches a log line.
void log_exchange(const node_config& config, const generate_request& request, const outcome& x);

}  // namespace llmos
