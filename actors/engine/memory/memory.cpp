#include "actors/engine/memory/memory.hpp"

#include <utility>

#include "actors/error.hpp"

namespace llmos {

void memory_state::reserve(const reserve_request& r) {
  reserve_reply reply;
  reply.id = r.id;
  auto match = kv->match(r.tenant, *r.tokens);
  const auto have = static_cast<uint32_t>(match.blocks.size());
  auto fresh = kv->take(r.num_blocks - std::min(have, r.num_blocks));
  if (fresh) {
    reply.granted = true;
    reply.num_cached = match.num_tokens;
    reply.blocks = std::move(match.blocks);
    reply.blocks.insert(reply.blocks.end(), fresh->begin(), fresh->end());
  } else {
    drop(match.blocks);
  }
  self->send(wiring.listener, atom::reserved_v, std::move(reply));
  report();
}

void memory_state::lease(uint32_t n) {
  self->send(wiring.listener, atom::leased_v, kv->take_up_to(n));
  report();
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
  self->send(wiring.monitor, atom::update_v, memory_report{model, kv->stats()});
}

std::string memory_state::status() const {
  const auto s = kv->stats();
  return "blocks=" + std::to_string(s.num_blocks) + " used=" + std::to_string(s.num_used) +
         " cached=" + std::to_string(s.num_cached) + " free=" + std::to_string(s.num_free);
}

memory_actor::behavior_type memory_manager(memory_actor::stateful_pointer<memory_state> self,
                                           std::string model, uint32_t num_blocks,
                                           uint32_t block_tokens, std::string salt) {
  self->state.model = std::move(model);
  self->state.kv = std::make_unique<kv_manager>(num_blocks, block_tokens, std::move(salt));
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
