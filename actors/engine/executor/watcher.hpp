#pragma once

#include <caf/typed_event_based_actor.hpp>
#include <memory>

#include "actors/protocol.hpp"

namespace llmos {

/// WATCHER. Sleeps until its executor's device has ended a step, so that the executor can begin the
/// next one meanwhile. Detached; it ends with the executor.
using watcher_actor = caf::typed_actor<
    // The oldest step that was begun and that no other wait was for. Answers when it has ended.
    caf::replies_to<atom::wait>::with<caf::ok_atom>>;

watcher_actor::behavior_type watcher(watcher_actor::pointer self, std::shared_ptr<backend> device);

}  // namespace llmos
