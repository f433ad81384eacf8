#include "runtime/schedule/batch_scheduler.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

failure bad_limit(const char* name, uint32_t value, const char* allowed) {
  return {ec::invalid_argument, std::string{"scheduler."} + name + " = " + std::to_string(value),
          std::string{"allowed: "} + allowed};
}

uint32_t common_prefix(const std::vector<token_id>& a, const std::vector<token_id>& b) {
  const auto n = std::min(a.size(), b.size());
  return static_cast<uint32_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first -
      a.begin());
}

}  // namespace

result<void> validate(const scheduler_limits& x) {
  if (x.max_step_tokens == 0) return bad_limit("max_step_tokens", 0, "1 or more");
  if (x.max_prefill_chunk == 0) return bad_limit("max_prefill_chunk", 0, "1 or more");
  if (x.max_running == 0) return bad_limit("max_running", 0, "1 or more");
  if (x.max_running > x.max_step_tokens) {
    return bad_limit("max_running", x.max_running, "at most max_step_tokens");
  }
  if (x.max_context == 0) return bad_limit("max_context", 0, "1 or more");
  if (x.block_tokens == 0) return bad_limit("block_tokens", 0, "1 or more");
  if (x.num_blocks == 0) return bad_limit("num_blocks", 0, "1 or more");
  return {};
}

batch_scheduler::batch_scheduler(scheduler_limits limits) : limits_(limits) {
  LLMOS_CHECK(validate(limits).ok());
}

result<void> batch_scheduler::enqueue(spec_ptr spec) {
  const uint64_t n = spec->tokens.size();
  if (n == 0 || spec->num_prompt == 0 || spec->num_prompt > n) {
    return failure{ec::invalid_argument, "the prompt has no tokens", "send some text"};
  }
  if (auto* s = find(spec->id)) return resume(*s, *spec);
  const uint64_t total = uint64_t{spec->num_prompt} + spec->sampling.max_tokens;
  if (total > limits_.max_context || n > limits_.max_context) {
    return failure{ec::over_context,
                   std::to_string(spec->num_prompt) + " prompt tokens + " +
                       std::to_string(spec->sampling.max_tokens) +
                       " max_tokens exceed the context of " + std::to_string(limits_.max_context),
                   "shorten the prompt, lower max_tokens or raise the context"};
  }
  const uint64_t blocks = ceil_div<uint64_t>(std::max<uint64_t>(total, n), limits_.block_tokens);
  if (blocks > limits_.num_blocks) {
    return failure{ec::out_of_memory,
                   "the request may need " + std::to_string(blocks) + " KV blocks, the pool has " +
                       std::to_string(limits_.num_blocks),
                   "lower max_tokens or enlarge the KV pool"};
  }
  if (sequences_.size() - num_running_ >= limits_.max_waiting) {
    return failure{ec::overloaded,
                   std::to_string(limits_.max_waiting) + " requests are waiting already",
                   "retry later"};
  }
  sequence s;
  s.place = {spec->priority, next_arrival_++};
  s.tokens = spec->tokens;
  place_of_[spec->id] = s.place;
  s.spec = std::move(spec);
  sequences_.emplace(s.place, std::move(s));
  return {};
}

result<void> batch_scheduler::resume(sequence& s, const sequence_spec& spec) {
  const auto shared = common_prefix(s.tokens, spec.tokens);
  const bool same = spec.num_prompt == s.spec->num_prompt &&
                    shared == std::min(s.tokens.size(), spec.tokens.size());
  if (!same || s.cancelled) {  // one that is over may have lost its end
    return failure{ec::invalid_argument, "request " + std::to_string(spec.id.value) + " exists",
                   "ids are used once"};
  }
  if (shared == s.tokens.size()) return {};  // nothing was lost
  s.over = false;
  s.go_back_to = shared;
  if (!s.is_busy()) go_back(s);
  return {};
}

/// As a preemption, but for tokens: what is computed comes back from the prefix index, if it lasts.
void batch_scheduler::go_back(sequence& s) {
  seal(s);
  give_up_blocks(s);
  s.state = phase::waiting;
  s.tokens.resize(*std::exchange(s.go_back_to, std::nullopt));
  s.lookup.reset();
  admission_blocked_ = false;
}

void batch_scheduler::cancel(request_id id) {
  auto* s = find(id);
  if (s == nullptr) return;
  if (s->is_busy()) {
    s->cancelled = true;  // goes when the answer or the step arrives
    return;
  }
  give_up_blocks(*s);
  remove(sequences_.find(s->place));
}

void batch_scheduler::on_reserved(reserve_reply reply) {
  auto* s = find(reply.id);
  reserving_ = false;
  if (s == nullptr || s->cancelled) {
    if (reply.granted) release(std::move(reply.blocks));
    if (s != nullptr) remove(sequences_.find(s->place));
    return;
  }
  if (s->go_back_to) {
    if (reply.granted) release(std::move(reply.blocks));
    return go_back(*s);
  }
  if (!reply.granted) {
    s->state = phase::waiting;
    admission_blocked_ = true;
    return;
  }
  s->state = phase::running;
  ++num_running_;
  s->blocks = std::move(reply.blocks);
  s->num_computed = reply.num_cached;
  s->num_sealed = reply.num_cached / limits_.block_tokens;
  s->num_cached = std::min(reply.num_cached, s->spec->num_prompt);
  stats_.cached_tokens += reply.num_cached;
}

void batch_scheduler::on_leased(std::vector<block_id> blocks) {
  short_of_blocks_ = blocks.size() < lease_open_;
  lease_open_ = 0;
  stock_.insert(stock_.end(), blocks.begin(), blocks.end());
}

std::optional<step_plan> batch_scheduler::next_step() {
  return flights_.empty() ? plan_next() : plan_ahead();
}

std::optional<step_plan> batch_scheduler::plan_next() {
  step_plan plan;
  uint32_t budget = limits_.max_step_tokens;
  plan_decodes(plan, budget);
  const auto num_decodes = static_cast<uint32_t>(plan.entries.size());
  if (limits_.max_step_drafts > 0) plan_drafts(plan, budget);
  const uint32_t decode_rows = limits_.max_step_tokens - budget;
  budget = prefill_budget(decode_rows, budget);
  uint32_t prefill_rows = budget;
  plan_prefills(plan, budget);
  prefill_rows -= budget;
  if (plan.entries.empty()) return std::nullopt;
  send_off(plan, decode_rows, prefill_rows, decode_rows > num_decodes);
  return plan;
}

void batch_scheduler::send_off(step_plan& plan, uint32_t decode_rows, uint32_t prefill_rows,
                               bool has_drafts) {
  plan.step = ++step_;
  plan.ended = std::exchange(forget_, {});
  flights_.push_back({plan.step, decode_rows, prefill_rows, has_drafts});
  ++stats_.steps;
}

/// The sequences of the step in flight, one position on.
std::optional<step_plan> batch_scheduler::plan_ahead() {
  step_plan plan;
  for (auto* s : those_ahead()) add_entry_ahead(plan, *s);
  if (plan.entries.empty()) return std::nullopt;
  const auto rows = static_cast<uint32_t>(plan.entries.size());
  stats_.decode_tokens += rows;
  ++stats_.steps_ahead;
  send_off(plan, rows, 0, false);
  return plan;
}

/// None where more than the tokens of the step in flight decides about the next.
std::vector<batch_scheduler::sequence*> batch_scheduler::those_ahead() {
  if (!limits_.run_ahead || flights_.size() > 1) return {};
  const flight& now = flights_.front();
  if (now.prefill_rows > 0 || now.has_drafts) return {};
  std::vector<sequence*> all;
  for (auto& [place, s] : sequences_) {
    if (s.state != phase::running) continue;
    if (s.in_flight == 0) return {};  // the next step is for it too
    if (!goes_ahead(s)) continue;
    if (!ensure_capacity(s, s.in_flight + 1)) return {};
    all.push_back(&s);
  }
  if (limits_.max_step_drafts == 0) return all;
  const auto bids = bids_of(all, limits_.max_step_drafts);
  const bool pays =
      std::any_of(bids.begin(), bids.end(), [](const auto& b) { return b.given > 0; });
  return pays ? std::vector<sequence*>{} : all;
}

/// It has a row in flight, and another token behind that of this row.
bool batch_scheduler::goes_ahead(const sequence& s) const {
  return s.in_flight > 0 && !s.is_leaving() && s.num_generated() + 1 < s.spec->sampling.max_tokens;
}

void batch_scheduler::plan_decodes(step_plan& plan, uint32_t& budget) {
  for (auto it = sequences_.begin(); it != sequences_.end() && budget > 0; ++it) {
    auto& s = it->second;
    if (s.state != phase::running || !s.decoding()) continue;
    if (!ensure_capacity(s, 1)) {
      // The answer to an open lease may help; only a known shortage costs somebody his blocks.
      if (short_of_blocks_ && lease_open_ == 0) preempt_last();
      continue;
    }
    add_entry(plan, s, 1);
    ++stats_.decode_tokens;
    --budget;
  }
}

void batch_scheduler::plan_drafts(step_plan& plan, uint32_t& budget) {
  std::vector<sequence*> all;
  for (const auto& e : plan.entries) all.push_back(find(e.id));
  // Half of what the decodes left stays for prompts.
  const auto bids = bids_of(all, std::min(budget / 2, limits_.max_step_drafts));
  for (size_t i = 0; i < bids.size(); ++i) {
    if (bids[i].given == 0) continue;
    auto& e = plan.entries[i];
    auto& s = *all[i];
    e.drafts = s.lookup->guess(s.tokens, bids[i].given);
    s.num_drafts = bids[i].given;
    budget -= bids[i].given;
    stats_.draft_tokens += bids[i].given;
  }
}

/// How many drafts each would get of so many.
std::vector<draft_bid> batch_scheduler::bids_of(const std::vector<sequence*>& all,
                                                uint32_t max_drafts) {
  std::vector<draft_bid> bids;
  for (auto* s : all) {
    const auto& spec = *s->spec;
    if (!s->lookup) s->lookup.emplace(spec.num_prompt, spec.num_prompt + spec.sampling.max_tokens);
    s->lookup->extend(s->tokens);
    bids.push_back({&*s->lookup, room_for_drafts(*s)});
  }
  share_drafts(bids, max_drafts, cost_.of_row());
  return bids;
}

/// Within max_tokens, of which the step brings one anyway, and the blocks that it has.
uint32_t batch_scheduler::room_for_drafts(const sequence& s) const {
  const auto end = s.spec->num_prompt + s.spec->sampling.max_tokens;
  const auto next = static_cast<uint32_t>(s.tokens.size());
  if (next >= end) return 0;
  const auto positions = static_cast<uint32_t>(s.blocks.size()) * limits_.block_tokens;
  return std::min({max_drafts, end - next - 1, positions - next});
}

void batch_scheduler::plan_prefills(step_plan& plan, uint32_t& budget) {
  for (auto& [place, s] : sequences_) {
    if (budget == 0) return;
    if (s.state != phase::running || s.decoding()) continue;
    const auto left = static_cast<uint32_t>(s.tokens.size()) - s.num_computed;
    const auto rows = std::min({left, budget, limits_.max_prefill_chunk});
    if (!ensure_capacity(s, rows)) continue;
    add_entry(plan, s, rows);
    stats_.prefill_tokens += rows;
    budget -= rows;
  }
}

/// Rows of prefill in a step that others wait for. A fifth of the time is left for steps that take
/// longer than those before them.
uint32_t batch_scheduler::prefill_budget(uint32_t decode_rows, uint32_t budget) const {
  if (decode_rows == 0 || limits_.max_stall_us == 0) return budget;
  return std::min(budget, pace_.rows_within(limits_.max_stall_us / 5 * 4));
}

bool batch_scheduler::ensure_capacity(sequence& s, uint32_t rows) {
  const auto need = ceil_div(s.num_computed + rows, limits_.block_tokens);
  while (s.blocks.size() < need && !stock_.empty()) {
    s.blocks.push_back(stock_.back());
    stock_.pop_back();
  }
  return s.blocks.size() >= need;
}

void batch_scheduler::add_entry(step_plan& plan, sequence& s, uint32_t rows) {
  plan_entry e;
  e.id = s.spec->id;
  e.num_past = s.num_computed;
  e.num_tokens = rows;
  e.sample = s.num_computed + rows == s.tokens.size() && s.spec->sampling.max_tokens > 0;
  take_new_blocks(e, s);
  if (!s.known) e.spec = spec_for_executor(s);
  s.known = true;
  s.in_flight = rows;
  plan.entries.push_back(std::move(e));
}

void batch_scheduler::add_entry_ahead(step_plan& plan, sequence& s) {
  plan_entry e;
  e.id = s.spec->id;
  e.num_past = s.num_computed + s.in_flight;
  e.num_tokens = 1;
  e.sample = true;
  e.follows = true;
  take_new_blocks(e, s);
  s.ahead = true;
  plan.entries.push_back(std::move(e));
}

void batch_scheduler::take_new_blocks(plan_entry& e, sequence& s) {
  e.new_blocks.assign(s.blocks.begin() + s.num_known_blocks, s.blocks.end());
  s.num_known_blocks = static_cast<uint32_t>(s.blocks.size());
}

/// After a preemption the executor starts over from everything generated so far.
spec_ptr batch_scheduler::spec_for_executor(const sequence& s) {
  if (s.tokens.size() == s.spec->tokens.size()) return s.spec;
  auto copy = std::make_shared<sequence_spec>(*s.spec);
  copy->tokens = s.tokens;
  return copy;
}

void batch_scheduler::preempt_last() {
  for (auto it = sequences_.rbegin(); it != sequences_.rend(); ++it) {
    auto& s = it->second;
    if (s.state != phase::running || s.in_flight > 0) continue;
    seal(s);
    give_up_blocks(s);
    s.state = phase::waiting;
    ++stats_.preemptions;
    short_of_blocks_ = false;
    // Let those that run finish something before it comes back, or it would thrash.
    admission_blocked_ = num_running_ > 0;
    return;
  }
}

void batch_scheduler::step_done(const step_result& done) {
  LLMOS_CHECK(!flights_.empty() && done.step == flights_.front().step);
  const flight ended = flights_.front();
  flights_.pop_front();
  const auto us = done.forward_us + done.sample_us;
  pace_.observe(ended.decode_rows, ended.prefill_rows, us);
  if (ended.prefill_rows == 0) cost_.observe(ended.decode_rows, us);
  for (auto it = sequences_.begin(); it != sequences_.end();) {
    auto& s = it->second;
    const bool ran = s.in_flight > 0;
    const bool was_prefill = ran && (!s.decoding() || s.num_generated() == 0);
    s.num_computed += std::exchange(s.in_flight, std::exchange(s.ahead, false) ? 1 : 0);
    s.num_drafts = 0;
    if (ran && !s.is_busy() && (s.cancelled || s.over)) {
      finish(s);
      it = sequences_.erase(it);
      continue;
    }
    if (s.go_back_to && !s.is_busy())
      go_back(s);  // and the tokens of steps go with those that were lost
    if (was_prefill) seal(s);
    if (ran && s.spec->sampling.max_tokens == 0 && s.num_computed == s.tokens.size()) {
      out_.tokens.push_back({s.spec->id, 0, {-1, 0, {}}, stop_reason::length, s.num_cached});
      finish(s);
      it = sequences_.erase(it);
      continue;
    }
    ++it;
  }
  for (const auto& t : done.tokens) apply_token(t);
}

void batch_scheduler::apply_token(const step_token& t) {
  auto* s = find(t.id);
  if (s == nullptr || s->state != phase::running || s->is_leaving()) return;
  if (s->decoding()) {  // by a token of this step: that was a draft, and its row counts
    ++s->num_computed;
    ++stats_.accepted_tokens;
  }
  token_event e{t.id, s->num_generated(), t.token, stop_reason::none, s->num_cached};
  s->tokens.push_back(t.token.id);
  const auto& ends = s->spec->end_ids;
  if (std::binary_search(ends.begin(), ends.end(), t.token.id)) {
    e.stop = stop_reason::end_token;
  } else if (s->num_generated() >= s->spec->sampling.max_tokens) {
    e.stop = stop_reason::length;
  }
  out_.tokens.push_back(std::move(e));
  if (out_.tokens.back().stop == stop_reason::none) return;
  s->over = s->in_flight > 0;
  if (s->over) return;
  finish(*s);
  sequences_.erase(s->place);
}

void batch_scheduler::finish(sequence& s) {
  seal(s);
  give_up_blocks(s);
  place_of_.erase(s.spec->id);
  admission_blocked_ = false;
}

void batch_scheduler::remove(sequence_map::iterator it) {
  place_of_.erase(it->second.spec->id);
  admission_blocked_ = false;
  sequences_.erase(it);
}

void batch_scheduler::seal(sequence& s) {
  // One that left has rows of tokens that do not count.
  const auto num_known = std::min<uint64_t>(s.num_computed, s.tokens.size());
  const auto full = static_cast<uint32_t>(num_known / limits_.block_tokens);
  if (full <= s.num_sealed) return;
  s.num_sealed = full;
  const auto num_tokens = static_cast<std::ptrdiff_t>(uint64_t{full} * limits_.block_tokens);
  out_.seals.push_back({s.spec->tenant,
                        std::make_shared<const std::vector<token_id>>(
                            s.tokens.begin(), s.tokens.begin() + num_tokens),
                        {s.blocks.begin(), s.blocks.begin() + full}});
}

void batch_scheduler::give_up_blocks(sequence& s) {
  if (s.state == phase::running) --num_running_;
  release(std::exchange(s.blocks, {}));
  if (s.known) forget_.push_back(s.spec->id);
  s.known = false;
  s.num_computed = s.num_sealed = s.num_known_blocks = 0;
}

void batch_scheduler::release(std::vector<block_id> blocks) {
  if (blocks.empty()) return;
  out_.released.insert(out_.released.end(), blocks.begin(), blocks.end());
  short_of_blocks_ = false;
}

bool batch_scheduler::shares_running_prefill(const sequence& s) const {
  const auto shareable = static_cast<uint32_t>(s.tokens.size() - 1) / limits_.block_tokens;
  for (const auto& [place, r] : sequences_) {
    if (r.state != phase::running || r.decoding() || r.spec->tenant != s.spec->tenant) continue;
    const auto common = common_prefix(s.tokens, r.tokens) / limits_.block_tokens;
    if (std::min(common, shareable) > r.num_sealed) return true;
  }
  return false;
}

void batch_scheduler::admit() {
  if (reserving_ || num_running_ >= limits_.max_running) return;
  if (admission_blocked_ && num_running_ > 0) return;
  for (auto& [place, s] : sequences_) {
    if (s.state != phase::waiting || shares_running_prefill(s)) continue;
    const uint64_t total = uint64_t{s.spec->num_prompt} + s.spec->sampling.max_tokens;
    const auto tokens =
        std::min<uint64_t>(s.tokens.size() + 1, std::max<uint64_t>(total, s.tokens.size()));
    s.state = phase::reserving;
    reserving_ = true;
    out_.reserves.push_back({s.spec->id, s.spec->tenant,
                             std::make_shared<const std::vector<token_id>>(s.tokens),
                             ceil_div(static_cast<uint32_t>(tokens), limits_.block_tokens)});
    return;
  }
}

void batch_scheduler::request_lease() {
  if (lease_open_ > 0 || short_of_blocks_) return;
  uint32_t want = 0;
  for (const auto& [place, s] : sequences_) {
    if (s.state != phase::running || s.cancelled) continue;
    const auto capacity = s.blocks.size() * limits_.block_tokens;
    const uint32_t ahead = limits_.run_ahead ? 1 : 0;
    const auto used = s.num_computed + s.in_flight + ahead + s.num_drafts;  // if all come true
    const bool prefilled = used + 1 >= s.tokens.size();
    const auto total = s.spec->num_prompt + s.spec->sampling.max_tokens;
    if (prefilled && used + 2 > capacity && used < total) ++want;
  }
  if (want <= stock_.size()) return;
  out_.lease = lease_open_ = want - static_cast<uint32_t>(stock_.size());
}

scheduler_output batch_scheduler::drain() {
  if (num_running_ == 0 && !reserving_) release(std::exchange(stock_, {}));
  admit();
  request_lease();
  return std::exchange(out_, {});
}

scheduler_stats batch_scheduler::stats() const {
  auto s = stats_;
  s.running = num_running_;
  s.waiting = static_cast<uint32_t>(sequences_.size()) - num_running_;
  return s;
}

batch_scheduler::sequence* batch_scheduler::find(request_id id) {
  const auto it = place_of_.find(id);
  return it == place_of_.end() ? nullptr : &sequences_.at(it->second);
}

}  // namespace llmos
