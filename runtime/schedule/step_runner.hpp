#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/schedule/sequence.hpp"

namespace llmos {

/// Turns step plans into backend batches and logits into tokens. Keeps what the device side must
/// know of each sequence: its tokens, its block table and its sampler. Used by one thread.
class step_runner {
public:
  step_runner(std::unique_ptr<backend> device, uint32_t n_vocab);

  /// Runs one step. A failure of the device or a plan that breaks a limit comes back in
  /// `error`; the sequences' state is then undefined and the engine starts over.
  step_result run(const step_plan& plan);

  const backend& device() const { return *device_; }
  size_t num_sequences() const { return sequences_.size(); }

private:
  struct sequence {
    spec_ptr spec;
    std::vector<token_id> tokens;
    std::vector<block_id> blocks;
    sampler choose;
  };

  /// What the device gave for the rows of a step: logits, or the tokens that it chose itself.
  struct output {
    std::span<const float> logits;
    std::span<const token_id> tokens;
  };

  result<void> take_in(const plan_entry& e);
  result<void> build_batch(const step_plan& plan);
  bool device_chooses(const step_plan& plan);
  result<void> compute(const step_plan& plan, output& out);
  sampled_token token_of(sequence& s, const output& from, size_t row, uint32_t index);
  void sample(const plan_entry& e, const output& from, size_t first_row,
              std::vector<step_token>& out);

  std::unique_ptr<backend> device_;
  uint32_t n_vocab_;
  std::shared_ptr<sampler_scratch> scratch_;  ///< Shared by all samplers: they run one by one.
  std::unordered_map<uint64_t, sequence> sequences_;
  std::vector<token_id> tokens_;
  std::vector<sequence_rows> rows_;
  std::vector<uint32_t> logit_rows_;
  std::vector<token_choice> choices_;  ///< Of those rows, where the device chooses.
};

}  // namespace llmos
