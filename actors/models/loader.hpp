#pragma once

#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol.hpp"

namespace llmos {

/// LOADER. Reads one model file, then ends. Detached: it blocks on the disk.
using loader_actor = caf::typed_actor<
    // name, path → the model. Errors: as load_model_file.
    caf::replies_to<atom::load, std::string, std::string>::with<loaded_model_ptr>>;

loader_actor::behavior_type loader(loader_actor::pointer self);

}  // namespace llmos
