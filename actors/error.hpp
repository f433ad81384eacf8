#pragma once

#include <caf/actor_system_config.hpp>
#include <caf/error.hpp>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/base/error.hpp"

namespace llmos {

/// The one conversion from `failure` to CAF's error and back. Code, text and hint survive; a
/// foreign error (a lost actor, a timeout) becomes `internal` or `cancelled` with its text.
caf::error to_error(const failure& x);
failure to_failure(const caf::error& x);

/// Why there is no connection or no port, in words where they are known.
std::string connection_reason(const caf::error& x);

/// What becomes of a cancel's answer. A request that has just ended by itself is not found, and its
/// terminal message is on its way: only another error is logged.
void log_lost_cancel(const caf::error& x);

/// Registers message types and the error category; every actor system of ours starts with it.
void register_messages(caf::actor_system_config& config);
/// Of these only what crosses a process.
void register_wire_messages(caf::actor_system_config& config);

}  // namespace llmos
