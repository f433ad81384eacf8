#include "actors/ledger/ledger.hpp"

#include <algorithm>
#include <utility>

namespace llmos {

void ledger_state::begin(const ledger_entry& e) {
  self->monitor(e.process);
  const auto since = std::chrono::steady_clock::now() - std::chrono::milliseconds{e.info.age_ms};
  entries_.insert_or_assign(e.info.id, entry{e, since});
}

void ledger_state::update(const process_info& info) {
  const auto it = entries_.find(info.id);
  if (it == entries_.end()) return;
  auto& mine = it->second.what.info;
  const auto generated = mine.generated_tokens;  // counted here, as the tokens pass
  mine = info;
  mine.generated_tokens = generated;
}

void ledger_state::end(request_id id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  self->demonitor(it->second.what.process.address());
  entries_.erase(it);
}

void ledger_state::fan_out(const token_batch& batch) {
  for (const auto& event : batch) {
    const auto it = entries_.find(event.id);
    if (it == entries_.end()) continue;  // ended meanwhile
    auto& generated = it->second.what.info.generated_tokens;
    generated = std::max(generated, event.index + (event.token.id >= 0 ? 1 : 0));  // not repeats
    self->send(it->second.what.process, atom::token_v, event);
  }
}

process_list ledger_state::list() const {
  process_list out;
  out.reserve(entries_.size());
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [id, e] : entries_) {
    out.push_back(e.what.info);
    out.back().age_ms = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now - e.since).count());
  }
  return out;
}

void ledger_state::process_down(const caf::down_msg& down) {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const auto& x) {
    return x.second.what.process.address() == down.source;
  });
  if (it == entries_.end()) return;
  if (down.reason != caf::exit_reason::normal) {  // else its `ended` came first
    const failure why{ec::internal, "the process of this request failed", "retry"};
    self->send(it->second.what.client, atom::failed_v, it->first, why);
  }
  entries_.erase(it);
}

ledger_actor::behavior_type ledger(ledger_actor::stateful_pointer<ledger_state> self) {
  self->set_down_handler([self](const caf::down_msg& d) { self->state.process_down(d); });
  return {
      [self](atom::submit, const ledger_entry& e) { self->state.begin(e); },
      [self](atom::update, const process_info& info) { self->state.update(info); },
      [self](atom::ended, request_id id) { self->state.end(id); },
      [self](atom::ps) { return self->state.list(); },
      [self](atom::token, const token_batch_ptr& batch) { self->state.fan_out(*batch); },
      [self](atom::status) { return "processes=" + std::to_string(self->state.list().size()); },
  };
}

}  // namespace llmos
