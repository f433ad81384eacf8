#include "actors/engine/memory/memory.hpp"

#include <utility>

#include "actors/error.hpp"

namespace llmos {

void memory_state::reserve(const reserve_request& r) {
  reserve_reply reply;
  reply.id = r.id;
  if (auto reserved = kv->reserve(r.tenant, *r.tokens, r.num_blocks)) {
    reply.granted = true;
    reply.num_cached = reserved->num_tokens;
    reply.blocks = std::move(reserved->blocks);
  }
  after_moves([this, reply] { self->send(wiring.listener, atom::reserved_v, reply); });
  report();
}

void memory_state::lease(uint32_t n) {
  after_moves(
      [this, blocks = kv->take_up_to(n)] { self->send(wiring.listener, atom::leased_v, blocks); });
  report();
}

/// Hands blocks out once what was in them, or shall be, has been moved; in the order of the calls.
void memory_state::after_moves(std::function<void()> hand_out) {
  auto moves = kv->take_moves();
  if (moves.empty() && num_moving == 0) return hand_out();
  ++num_moving;
  self->request(wiring.mover, caf::infinite, atom::move_v, std::move(moves))
      .then(
          [this, hand_out](caf::ok_atom) {
            --num_moving;
            hand_out();
          },
          [this](caf::error& why) { self->quit(std::move(why)); });
}

void memory_state::release(const std::vector<block_id>& blocks) {
  drop(blocks);
  report();
}

/// A double release is a bug of a neighbour: this engine's bookkeeping can no longer be trusted.
void memory_state::drop(const std::vector<block_id>& blocks) {
  if (auto done = kv->release(blocks); !done) self->quit(to_error(done.error()));
}

void memory_state::seal(const seal_notice& s) {
  kv->seal(s.tenant, *s.tokens, s.blocks);
}

void memory_state::report() {
  self->send(wiring.monitor, atom::update_v, memory_report{name_in_reports, kv->stats()});
}

std::string memory_state::status() const {
  const auto s = kv->stats();
  return "blocks=" + std::to_string(s.num_blocks) + " used=" + std::to_string(s.num_used) +
         " cached=" + std::to_string(s.num_cached) + " free=" + std::to_string(s.num_free) +
         " on_host=" + std::to_string(s.num_host_cached);
}

memory_actor::behavior_type memory_manager(memory_actor::stateful_pointer<memory_state> self,
                                           memory_args args) {
  self->state.name_in_reports = std::move(args.name);
  self->state.kv = std::make_unique<kv_manager>(args.num_blocks, args.block_tokens, args.salt, 64,
                                                args.num_host_blocks);
  return {
      [self](atom::wire, const memory_wiring& w) { self->state.wiring = w; },
      [self](atom::reserve, const reserve_request& r) { self->state.reserve(r); },
      [self](atom::lease, uint32_t n) { self->state.lease(n); },
      [self](atom::release, const std::vector<block_id>& blocks) { self->state.release(blocks); },
      [self](atom::seal, const seal_notice& s) { self->state.seal(s); },
      [self](atom::stats) { return self->state.kv->stats(); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
