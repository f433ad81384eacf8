#include "tests/support/engine_rig.hpp"

#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/base/check.hpp"
#include "tests/support/wrapped_backend.hpp"

namespace llmos::test {

bool operator==(const recorded_output& a, const recorded_output& b) {
  if (a.tokens != b.tokens || a.logits.size() != b.logits.size()) return false;
  for (size_t i = 0; i < a.logits.size(); ++i) {
    const auto bytes = a.logits[i].size() * sizeof(float);
    if (a.logits[i].size() != b.logits[i].size() ||
        std::memcmp(a.logits[i].data(), b.logits[i].data(), bytes) != 0) {
      return false;
    }
  }
  return true;
}

/// Hands everything on and keeps a copy of the logits.
class engine_rig::recording_backend : public wrapped_backend {
public:
  recording_backend(std::unique_ptr<backend> inner, std::vector<float>* copy)
      : wrapped_backend(std::move(inner)), copy_(copy) {}
  result<std::span<const float>> forward(const step_batch& batch) override {
    auto logits = inner_->forward(batch);
    if (logits) copy_->assign(logits->begin(), logits->end());
    return logits;
  }

private:
  std::vector<float>* copy_;
};

engine_rig::engine_rig(std::shared_ptr<const model> m, const std::string& backend_name,
                       scheduler_limits limits, uint32_t num_threads, kv_type kv)
    : n_vocab_(m->hp.n_vocab),
      scheduler_(limits),
      memory_(limits.num_blocks, limits.block_tokens, "rig") {
  const backend_limits device{.max_rows = limits.max_step_tokens,
                              .max_logits = limits.max_running + limits.max_step_drafts,
                              .max_seqs = limits.max_running,
                              .max_context = limits.max_context,
                              .num_blocks = limits.num_blocks,
                              .block_tokens = limits.block_tokens,
                              .kv = kv,
                              .num_threads = num_threads};
  auto inner = make_backend(backend_name, std::move(m), device);
  if (!inner) std::fprintf(stderr, "%s\n", to_string(inner.error()).c_str());
  runner_ = std::make_unique<step_runner>(
      std::make_unique<recording_backend>(std::move(*inner), &last_logits_), n_vocab_);
}

engine_rig::~engine_rig() = default;

void engine_rig::submit(spec_ptr spec) {
  LLMOS_CHECK(scheduler_.enqueue(std::move(spec)).ok());
}

bool engine_rig::step() {
  for (int tries = 0; tries < 5; ++tries) {
    settle();
    auto plan = scheduler_.next_step();
    if (!plan) continue;
    auto done = runner_->run(*plan);
    LLMOS_CHECK(done.error.code == ec::none);
    flights_.push_back({std::move(*plan), std::move(done), last_logits_});
  }
  if (flights_.empty()) return false;
  record(flights_.front());
  scheduler_.step_done(flights_.front().done);
  flights_.pop_front();
  settle();
  return true;
}

void engine_rig::run() {
  while (step()) {
  }
}

/// Each token with its row's logits; those behind a draft that was wrong belong to no token, nor do
/// those behind an end.
void engine_rig::record(const flight& f) {
  size_t row = 0;
  auto token = f.done.tokens.begin();
  for (const auto& e : f.plan.entries) {
    if (!e.sample) continue;
    auto& mine = output[e.id.value];
    for (auto begin = row; token != f.done.tokens.end() && token->id == e.id; ++token, ++begin) {
      if (ended_.contains(e.id.value)) continue;
      const auto logits = f.logits.begin() + static_cast<std::ptrdiff_t>(begin * n_vocab_);
      mine.tokens.push_back(token->token);
      mine.logits.emplace_back(logits, logits + n_vocab_);
    }
    row += 1 + e.drafts.size();
  }
}

void engine_rig::settle() {
  for (;;) {
    auto out = scheduler_.drain();
    for (const auto& e : out.tokens) {
      cached[e.id.value] = e.num_cached;
      if (e.stop != stop_reason::none) ended_.insert(e.id.value);
    }
    for (const auto& s : out.seals) memory_.seal(s.tenant, *s.tokens, s.blocks);
    LLMOS_CHECK(memory_.release(out.released).ok());
    for (const auto& r : out.reserves) scheduler_.on_reserved(answer(r));
    if (out.lease > 0) scheduler_.on_leased(memory_.take_up_to(out.lease));
    if (out.reserves.empty() && out.lease == 0) return;
  }
}

reserve_reply engine_rig::answer(const reserve_request& r) {
  reserve_reply reply{r.id};
  if (auto reserved = memory_.reserve(r.tenant, *r.tokens, r.num_blocks)) {
    reply = {r.id, true, std::move(reserved->blocks), reserved->num_tokens};
  }
  return reply;
}

}  // namespace llmos::test
