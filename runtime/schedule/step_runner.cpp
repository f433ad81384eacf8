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

step_runner::step_runner(std::unique_ptr<backend> device, uint32_t n_vocab)
    : device_(std::move(device)), n_vocab_(n_vocab), scratch_(std::make_shared<sampler_scratch>()) {
  const auto& limits = device_->limits();
  tokens_.reserve(limits.max_rows);
  rows_.reserve(limits.max_seqs);
  logit_rows_.reserve(limits.max_logits);
}

step_result step_runner::run(const step_plan& plan) {
  step_result out;
  out.started = steady::now();
  out.step = plan.step;
  for (auto id : plan.ended) sequences_.erase(id.value);
  if (auto built = build_batch(plan); !built) {
    out.error = std::move(built).error();
    return out;
  }
  out.num_rows = static_cast<uint32_t>(tokens_.size());
  const auto start = steady::now();
  output from;
  auto ran = compute(plan, from);
  const auto computed = steady::now();
  if (!ran) {
    out.error = std::move(ran).error();
    return out;
  }
  out.tokens.reserve(logit_rows_.size());
  size_t row = 0;
  for (const auto& e : plan.entries) {
    if (!e.sample) continue;
    sample(e, from, row, out.tokens);
    row += 1 + e.drafts.size();
  }
  out.forward_us = us_between(start, computed);
  out.ended = steady::now();
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
  const auto known = it->second.tokens.size();
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
    const auto begin = s.tokens.begin() + e.num_past;
    tokens_.insert(tokens_.end(), begin, begin + e.num_tokens);
    tokens_.insert(tokens_.end(), e.drafts.begin(), e.drafts.end());
    const auto end = static_cast<uint32_t>(tokens_.size());
    rows_.push_back({first, end - first, e.num_past, s.blocks});
    if (!e.sample) continue;
    for (auto row = first + e.num_tokens - 1; row < end; ++row) logit_rows_.push_back(row);
  }
  return {};
}

/// Whether the device can choose every token of the step; then choices_ says how.
bool step_runner::device_chooses(const step_plan& plan) {
  if (!device_->chooses()) return false;
  choices_.clear();
  for (const auto& e : plan.entries) {
    if (!e.sample) continue;
    const auto& s = sequences_.at(e.id.value);
    const auto index = static_cast<uint32_t>(s.tokens.size()) - s.spec->num_prompt;
    for (uint32_t i = 0; i <= e.drafts.size(); ++i) {
      const auto choice = s.choose.choice(index + i);
      if (!choice) return false;
      choices_.push_back(*choice);
    }
  }
  return true;
}

result<void> step_runner::compute(const step_plan& plan, output& out) {
  const step_batch batch{tokens_, rows_, logit_rows_};
  if (device_chooses(plan)) {
    LLMOS_TRY(out.tokens, device_->forward_and_choose(batch, choices_));
  } else {
    LLMOS_TRY(out.logits, device_->forward(batch));
  }
  return {};
}

sampled_token step_runner::token_of(sequence& s, const output& from, size_t row, uint32_t index) {
  if (!from.tokens.empty()) return {from.tokens[row]};
  return s.choose.sample(from.logits.subspan(row * n_vocab_, n_vocab_), s.tokens, index);
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
