#pragma once

#include <caf/typed_event_based_actor.hpp>
#include <memory>

#include "actors/protocol.hpp"

namespace llmos {

/// Spawn it detached: it waits for its device's copies. It ends with the executor that spawned it.
transfer_actor::behavior_type transfer(transfer_actor::pointer self,
                                       std::shared_ptr<backend> device);

}  // namespace llmos
