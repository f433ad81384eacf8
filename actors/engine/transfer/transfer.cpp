#include "actors/engine/transfer/transfer.hpp"

#include "actors/error.hpp"

namespace llmos {

namespace {

caf::result<caf::ok_atom> move_blocks(backend& device, const std::vector<block_move>& moves) {
  if (const auto moved = device.move_blocks(moves); !moved) return to_error(moved.error());
  return caf::ok_atom_v;
}

}  // namespace

transfer_actor::behavior_type transfer(transfer_actor::pointer, std::shared_ptr<backend> device) {
  return {[device](atom::move, const std::vector<block_move>& moves) {
    return move_blocks(*device, moves);
  }};
}

}  // namespace llmos
