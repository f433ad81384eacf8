#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/schedule/sequence.hpp"

namespace llmos {

/// Turns step plans into backend batches and logits into tokens. Keeps what the device side must
/// know of each sequence: its tokens, its block table and its sampler. Used by one thread, but for
/// device().wait().
class step_runner {
public:
  step_runner(std::shared_ptr<backend> device, uint32_t n_vocab);

  /// Runs one step. A failure of the device or a plan that breaks a limit comes back in
  /// `error`; the sequences' state is then undefined and the engine starts over. REQUIRES: every
  /// step that start() began is finished.
  step_result run(const step_plan& plan);

  /// The same; but where the device can run ahead and choose all tokens itself, the step is only
  /// begun and nothing is returned: its result is that of finish(). Its tokens may then begin with
  /// what the step before, not yet finished, chooses.
  std::optional<step_result> start(step_plan_ptr plan);

  /// The result of the oldest step that start() began; waits for it.
  step_result finish();

  const std::shared_ptr<backend>& device() const { return device_; }
  size_t num_sequences() const { return sequences_.size(); }

private:
  struct sequence {
    spec_ptr spec;
    std::vector<token_id> tokens;
    std::vector<block_id> blocks;
    sampler choose;
    uint32_t num_pending = 0;  ///< Tokens that steps begun and not finished will bring.
    uint32_t pending_row = 0;  ///< Logit row of the newest one, in its step.
  };

  /// A step that was begun.
  struct flight {
    step_plan_ptr plan;
    std::chrono::steady_clock::time_point begun;
    uint32_t num_rows;
  };

  /// What the device gave for the rows of a step: logits, or the tokens that it chose itself.
  struct output {
    std::span<const float> logits;
    std::span<const token_id> tokens;
  };

  step_result begin_result(const step_plan& plan);
  result<void> take_in(const plan_entry& e);
  void append_tokens(const plan_entry& e, const sequence& s);
  result<void> build_batch(const step_plan& plan);
  bool device_chooses(const step_plan& plan) const;
  void list_choices(const step_plan& plan);
  step_choices choices() const { return {choices_, adjustments_}; }
  result<void> compute(const step_plan& plan, output& out);
  void compute_and_sample(const step_plan& plan, step_result& out);
  sampled_token token_of(sequence& s, const output& from, size_t row, uint32_t index);
  void sample(const plan_entry& e, const output& from, size_t first_row,
              std::vector<step_token>& out);
  void sample_all(const step_plan& plan, const output& from, std::vector<step_token>& out);
  void note_pending(const step_plan& plan);

  std::shared_ptr<backend> device_;
  uint32_t n_vocab_;
  std::shared_ptr<sampler_scratch> scratch_;  ///< Shared by all samplers: they run one by one.
  std::unordered_map<uint64_t, sequence> sequences_;
  std::vector<token_id> tokens_;
  std::vector<sequence_rows> rows_;
  std::vector<uint32_t> logit_rows_;
  std::vector<token_choice> choices_;          ///< Of those rows, where the device chooses.
  std::vector<token_adjustment> adjustments_;  ///< Of those choices.
  std::deque<flight> flights_;
  std::chrono::steady_clock::time_point last_ended_{};
};

}  // namespace llmos
