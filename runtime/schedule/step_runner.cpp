#include "runtime/schedule/step_runner.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace llmos {

namespace {

using steady = std::chrono::steady_clock;

uint64_t us_between(steady::time_point a, steady::time_point b) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(b - a).count());
}

failure unknown_sequence(request_id id) {
  return {ec::internal, "the plan names sequence " + std::to_string(id.value) + " without its spec",
          ""};
}

}  // namespace

step_runner::step_runner(std::shared_ptr<backend> device, uint32_t n_vocab)
    : device_(std::move(device)), n_vocab_(n_vocab), scratch_(std::make_shared<sampler_scratch>()) {
  const auto& limits = device_->limits();
  tokens_.reserve(limits.max_rows);
  rows_.reserve(limits.max_seqs);
  logit_rows_.reserve(limits.max_logits);
}

/// Takes the plan in; `error` is set when it breaks a rule.
step_result step_runner::begin_result(const step_plan& plan) {
  step_result out;
  out.started = steady::now();
  out.step = plan.step;
  for (auto id : plan.ended) sequences_.erase(id.value);
  if (auto built = build_batch(plan); !built) out.error = std::move(built).error();
  out.num_rows = static_cast<uint32_t>(tokens_.size());
  return out;
}

step_result step_runner::run(const step_plan& plan) {
  step_result out = begin_result(plan);
  if (out.error.code == ec::none) compute_and_sample(plan, out);
  return out;
}

void step_runner::compute_and_sample(const step_plan& plan, step_result& out) {
  const auto start = steady::now();
  output from;
  auto ran = compute(plan, from);
  const auto computed = steady::now();
  if (!ran) {
    out.error = std::move(ran).error();
    return;
  }
  sample_all(plan, from, out.tokens);
  out.forward_us = us_between(start, computed);
  out.ended = steady::now();
  out.sample_us = us_between(computed, out.ended);
}

std::optional<step_result> step_runner::start(step_plan_ptr plan) {
  step_result out = begin_result(*plan);
  if (out.error.code != ec::none) return out;
  if (!device_->runs_ahead() || !device_chooses(*plan)) {
    LLMOS_CHECK(flights_.empty());
    compute_and_sample(*plan, out);
    return out;
  }
  list_choices(*plan);
  if (auto begun = device_->begin({tokens_, rows_, logit_rows_}, choices()); !begun) {
    out.error = std::move(begun).error();
    return out;
  }
  note_pending(*plan);
  flights_.push_back({std::move(plan), out.started, out.num_rows});
  return std::nullopt;
}

void step_runner::note_pending(const step_plan& plan) {
  uint32_t row = 0;
  for (const auto& e : plan.entries) {
    if (!e.sample) continue;
    auto& s = sequences_.at(e.id.value);
    ++s.num_pending;
    s.pending_row = row;
    row += 1 + static_cast<uint32_t>(e.drafts.size());
  }
}

/// Its device began with it when it was through with the step before.
step_result step_runner::finish() {
  const flight f = std::move(flights_.front());
  flights_.pop_front();
  step_result out;
  out.step = f.plan->step;
  out.num_rows = f.num_rows;
  out.started = std::max(f.begun, last_ended_);
  auto tokens = device_->finish();
  const auto computed = steady::now();
  if (!tokens) {
    out.error = std::move(tokens).error();
    return out;
  }
  for (const auto& e : f.plan->entries) {
    if (e.sample) --sequences_.at(e.id.value).num_pending;
  }
  sample_all(*f.plan, {{}, *tokens}, out.tokens);
  out.forward_us = us_between(out.started, computed);
  out.ended = last_ended_ = steady::now();
  out.sample_us = us_between(computed, out.ended);
  return out;
}

result<void> step_runner::take_in(const plan_entry& e) {
  if (e.spec) {
    sequence s{
        e.spec, e.spec->tokens, {}, sampler{e.spec->sampling, e.spec->eog_ids, n_vocab_, scratch_}};
    s.tokens.reserve(s.spec->num_prompt + s.spec->sampling.max_tokens);
    sequences_.insert_or_assign(e.id.value, std::move(s));
  }
  const auto it = sequences_.find(e.id.value);
  if (it == sequences_.end()) return unknown_sequence(e.id);
  auto& blocks = it->second.blocks;
  blocks.insert(blocks.end(), e.new_blocks.begin(), e.new_blocks.end());
  const auto end = uint64_t{e.num_past} + e.num_tokens;
  const auto known = it->second.tokens.size() + (e.follows ? it->second.num_pending : 0);
  if (end > known || (!e.drafts.empty() && (end < known || !e.sample))) {
    return failure{ec::internal, "the plan runs past the tokens of " + std::to_string(e.id.value),
                   ""};
  }
  return {};
}

result<void> step_runner::build_batch(const step_plan& plan) {
  tokens_.clear();
  rows_.clear();
  logit_rows_.clear();
  for (const auto& e : plan.entries) {
    LLMOS_TRY_VOID(take_in(e));
    const auto& s = sequences_.at(e.id.value);
    const auto first = static_cast<uint32_t>(tokens_.size());
    append_tokens(e, s);
    const auto end = static_cast<uint32_t>(tokens_.size());
    rows_.push_back({first, end - first, e.num_past, s.blocks});
    if (!e.sample) continue;
    for (auto row = first + e.num_tokens - 1; row < end; ++row) logit_rows_.push_back(row);
  }
  return {};
}

/// The last token may still be pending: then its place in the step before stands for it.
void step_runner::append_tokens(const plan_entry& e, const sequence& s) {
  const auto end = e.num_past + e.num_tokens;
  const auto num_known = std::min<size_t>(end, s.tokens.size());
  tokens_.insert(tokens_.end(), s.tokens.begin() + e.num_past,
                 s.tokens.begin() + static_cast<std::ptrdiff_t>(num_known));
  if (num_known < end) tokens_.push_back(-1 - static_cast<token_id>(s.pending_row));
  tokens_.insert(tokens_.end(), e.drafts.begin(), e.drafts.end());
}

/// Whether the device can choose every token of the step.
bool step_runner::device_chooses(const step_plan& plan) const {
  return device_->chooses() && std::ranges::all_of(plan.entries, [&](const plan_entry& e) {
           return !e.sample || sequences_.at(e.id.value).choose.has_choice();
         });
}

/// How it chooses them, each draft taken for true by the rows behind it.
void step_runner::list_choices(const step_plan& plan) {
  choices_.clear();
  adjustments_.clear();
  for (const auto& e : plan.entries) {
    if (!e.sample) continue;
    auto& s = sequences_.at(e.id.value);
    const auto num_known = s.tokens.size();
    const token_id pending = s.num_pending > 0 ? -1 - static_cast<token_id>(s.pending_row) : 0;
    const auto index = static_cast<uint32_t>(num_known) + s.num_pending - s.spec->num_prompt;
    for (uint32_t i = 0; i <= e.drafts.size(); ++i) {
      choices_.push_back(s.choose.choice(s.tokens, index + i, pending, adjustments_));
      if (i < e.drafts.size()) s.tokens.push_back(e.drafts[i]);
    }
    s.tokens.resize(num_known);
  }
}

result<void> step_runner::compute(const step_plan& plan, output& out) {
  const step_batch batch{tokens_, rows_, logit_rows_};
  if (device_chooses(plan)) {
    list_choices(plan);
    LLMOS_TRY(out.tokens, device_->forward_and_choose(batch, choices()));
  } else {
    LLMOS_TRY(out.logits, device_->forward(batch));
  }
  return {};
}

sampled_token step_runner::token_of(sequence& s, const output& from, size_t row, uint32_t index) {
  if (!from.tokens.empty()) return {from.tokens[row]};
  return s.choose.sample(from.logits.subspan(row * n_vocab_, n_vocab_), s.tokens, index);
}

void step_runner::sample_all(const step_plan& plan, const output& from,
                             std::vector<step_token>& out) {
  size_t row = 0;
  for (const auto& e : plan.entries) {
    if (!e.sample) continue;
    sample(e, from, row, out);
    row += 1 + e.drafts.size();
  }
}

/// A row counts while every draft before it is the token that was chosen. Behind an end token
/// nothing is.
void step_runner::sample(const plan_entry& e, const output& from, size_t first_row,
                         std::vector<step_token>& out) {
  auto& s = sequences_.at(e.id.value);
  const auto& ends = s.spec->end_ids;
  for (size_t i = 0; i <= e.drafts.size(); ++i) {
    const auto index = static_cast<uint32_t>(s.tokens.size()) - s.spec->num_prompt;
    auto token = token_of(s, from, first_row + i, index);
    const auto id = token.id;
    s.tokens.push_back(id);
    out.push_back({e.id, std::move(token)});
    const bool goes_on = i < e.drafts.size() && e.drafts[i] == id;
    if (!goes_on || std::binary_search(ends.begin(), ends.end(), id)) return;
  }
}

}  // namespace llmos
