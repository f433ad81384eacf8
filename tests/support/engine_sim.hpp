#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/kv/kv_manager.hpp"
#include "runtime/schedule/batch_scheduler.hpp"

namespace llmos::test {

/// A whole engine on the stack: the real scheduler and memory manager around a device whose
/// "K and V" are the tokens themselves. Every step checks that each sequence's block table holds
/// exactly its tokens, so a wrongly shared, early freed or never computed block is seen at once.
/// The next token is a hash of all tokens before it, as a model's would be; with a `period`, mostly
/// the token that stands so far back.
class engine_sim {
public:
  explicit engine_sim(scheduler_limits limits)
      : limits_(limits),
        scheduler(limits),
        memory(limits.num_blocks, limits.block_tokens, "sim"),
        cells_(size_t{limits.num_blocks} * limits.block_tokens, -1) {}

  static spec_ptr spec(uint64_t id, std::vector<token_id> prompt, uint32_t max_tokens,
                       std::string tenant = "a") {
    auto s = std::make_shared<sequence_spec>();
    s->id = {id};
    s->tenant = std::move(tenant);
    s->num_prompt = static_cast<uint32_t>(prompt.size());
    s->tokens = std::move(prompt);
    s->sampling.max_tokens = max_tokens;
    s->sampling.seed = 1;
    return s;
  }

  static token_id next_token(const std::vector<token_id>& tokens, size_t n, size_t period = 0) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; ++i) h = (h ^ static_cast<uint64_t>(tokens[i])) * 1099511628211u;
    if (period != 0 && n >= period && (h >> 40) % 8 != 0) return tokens[n - period];
    return static_cast<token_id>((h >> 20) % 50000 + 1000);
  }

  /// Delivers everything the scheduler wants until it wants nothing more (no step is started).
  void settle() {
    for (;;) {
      auto out = scheduler.drain();
      collect(out.tokens);
      for (const auto& s : out.seals) memory.seal(s.tenant, *s.tokens, s.blocks);
      REQUIRE(memory.release(out.released).ok());
      for (const auto& r : out.reserves) scheduler.on_reserved(answer(r));
      if (out.lease > 0) scheduler.on_leased(memory.take_up_to(out.lease));
      memory.check_invariants();
      if (out.reserves.empty() && out.lease == 0) return;
    }
  }

  /// Plans a step, and what may follow it before it has ended; false when there is nothing to run.
  /// The device is through with all of them at once: nothing of what they read or write may change
  /// until the scheduler has heard of each.
  bool begin_step() {
    settle();
    for (int tries = 0; tries < 4; ++tries) {
      if (auto plan = scheduler.next_step()) compute(std::move(*plan));
      settle();
    }
    return !flights_.empty();
  }

  /// Finishes the oldest step in flight.
  void end_step() {
    REQUIRE(!flights_.empty());
    const auto done = std::move(flights_.front().done);
    flights_.pop_front();
    scheduler.step_done(done);
    settle();
  }

  bool step() {
    if (!begin_step()) return false;
    end_step();
    return true;
  }

  void run() {
    while (step()) {
    }
  }

  /// The oldest step in flight.
  const step_plan& plan() const { return flights_.front().plan; }
  size_t num_in_flight() const { return flights_.size(); }

private:
  scheduler_limits limits_;

public:
  batch_scheduler scheduler;
  kv_manager memory;
  std::map<uint64_t, std::vector<token_id>> output;  ///< By request.
  std::map<uint64_t, stop_reason> ended;
  std::map<uint64_t, uint32_t> cached;
  uint64_t computed_rows = 0;
  uint64_t row_us = 0;  ///< What a row of the device takes.
  size_t period = 0;

private:
  struct known {
    std::vector<token_id> tokens;
    std::vector<block_id> blocks;
  };

  void collect(const std::vector<token_event>& events) {
    for (const auto& e : events) {
      auto& mine = output[e.id.value];
      REQUIRE(e.index == mine.size());
      if (e.token.id >= 0) mine.push_back(e.token.id);
      cached[e.id.value] = e.num_cached;
      if (e.stop != stop_reason::none) {
        REQUIRE(ended.count(e.id.value) == 0);
        ended[e.id.value] = e.stop;
      }
    }
  }

  reserve_reply answer(const reserve_request& r) {
    reserve_reply reply{r.id};
    if (auto reserved = memory.reserve(r.tenant, *r.tokens, r.num_blocks)) {
      reply = {r.id, true, std::move(reserved->blocks), reserved->num_tokens};
    }
    return reply;
  }

  token_id& cell(const known& s, uint32_t position) {
    const auto block = s.blocks.at(position / limits_.block_tokens);
    return cells_.at(size_t{block} * limits_.block_tokens + position % limits_.block_tokens);
  }

  void compute(step_plan plan) {
    step_result done;
    done.step = plan.step;
    uint32_t rows = 0;
    for (auto id : plan.ended) device_.erase(id.value);
    for (const auto& e : plan.entries) {
      rows += e.num_tokens;
      if (e.spec) device_[e.id.value] = {e.spec->tokens, {}};
      auto& s = device_.at(e.id.value);
      s.blocks.insert(s.blocks.end(), e.new_blocks.begin(), e.new_blocks.end());
      const auto end = e.num_past + e.num_tokens;
      for (uint32_t p = e.num_past; p < end; ++p) cell(s, p) = s.tokens.at(p);
      rows += static_cast<uint32_t>(e.drafts.size());
      for (uint32_t i = 0; i < e.drafts.size(); ++i) cell(s, end + i) = e.drafts[i];
    }
    for (const auto& e : plan.entries) {
      auto& s = device_.at(e.id.value);
      for (uint32_t p = 0; p < e.num_past + e.num_tokens; ++p) REQUIRE(cell(s, p) == s.tokens[p]);
      if (!e.sample) continue;
      REQUIRE(e.num_past + e.num_tokens == s.tokens.size());
      for (size_t i = 0;; ++i) {
        s.tokens.push_back(next_token(s.tokens, s.tokens.size(), period));
        done.tokens.push_back({e.id, {s.tokens.back(), 0, {}}});
        if (i == e.drafts.size() || e.drafts[i] != s.tokens.back()) break;
      }
    }
    REQUIRE(rows <= limits_.max_step_tokens);
    computed_rows += rows;
    done.forward_us = rows * row_us;
    flights_.push_back({std::move(plan), std::move(done)});
  }

  struct flight {
    step_plan plan;
    step_result done;
  };

  std::vector<token_id> cells_;  ///< [num_blocks, block_tokens]
  std::map<uint64_t, known> device_;
  std::deque<flight> flights_;
};

}  // namespace llmos::test
