#include "actors/engine/executor/watcher.hpp"

namespace llmos {

watcher_actor::behavior_type watcher(watcher_actor::pointer, std::shared_ptr<backend> device) {
  return {[device](atom::wait) {
    device->wait();
    return caf::ok_atom_v;
  }};
}

}  // namespace llmos
