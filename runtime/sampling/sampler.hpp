#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "runtime/base/types.hpp"
#include "runtime/sampling/dispatch.hpp"
#include "runtime/sampling/params.hpp"
#include "runtime/sampling/selection.hpp"
#include "runtime/sampling/token_choice.hpp"

namespace llmos {

/// One uniform in [0, 1): Philox4x32-10 with key = seed and counter = (token index, choice).
/// 24 bits of resolution; the same on every machine.
float philox_uniform(uint64_t seed, uint64_t token_index, uint32_t choice);

struct token_logprob {
  token_id id = 0;
  float logprob = 0;
  friend bool operator==(const token_logprob&, const token_logprob&) = default;
};

struct sampled_token {
  token_id id = 0;
  float logprob = 0;               ///< Of the unmodified distribution; 0 unless asked for.
  std::vector<token_logprob> top;  ///< [top_logprobs], most likely first; impossible ones left out.
  friend bool operator==(const sampled_token&, const sampled_token&) = default;
};

/// Working memory of a sampler: about 60 bytes for each token of the vocabulary. One thread's
/// samplers may share one.
struct sampler_scratch {
  explicit sampler_scratch(const pass_table& table = choose_passes())
      : passes(table), tokens(table) {}

  const pass_table& passes;
  selection tokens;
  std::vector<float> logits;      // [n_vocab]
  std::vector<float> tops;        // of the columns of logits: see passes.hpp
  std::vector<uint32_t> counts;   // [n_vocab], all 0 between calls
  std::vector<token_id> counted;  // the ids whose count is not 0
};

/// Chooses tokens for one request. Stateless between tokens except for scratch: everything that
/// decides comes from the arguments, so a preempted or replayed request chooses the same tokens.
///
///   logits ─▶ logit_bias ─▶ penalties ─▶ end mask ─▶ temperature 0: the likeliest
///     └▶ logprobs                             └────▶ top_k ─▶ typical_p ─▶ top_p ─▶ min_p
///                                                       ─▶ temperature ─▶ draw
///
/// Each filter sees the softmax of what the one before it left, without temperature. NaN counts
/// as -infinity (impossible), +infinity as the largest float. When nothing is possible the
/// lowest id outside the end mask is chosen: a masked end token never comes out.
class sampler {
public:
  /// `end_tokens`: ids masked by min_tokens and ignore_eos; min_tokens masks p.stop_token_ids too.
  /// Without `scratch` the sampler makes its own. REQUIRES: validate(p) passed, p.seed set unless
  /// temperature is 0.
  sampler(sampling_params p, std::span<const token_id> end_tokens, uint32_t n_vocab,
          std::shared_ptr<sampler_scratch> scratch = nullptr);

  /// logits: [n_vocab]. history: prompt and output tokens so far. index: number of this
  /// request's generated tokens before this one. Candidates are ordered by (logit, id).
  sampled_token sample(std::span<const float> logits, std::span<const token_id> history,
                       uint32_t index);

  /// Whether choice() says all that sample() knows: not so with typical_p, log-probabilities, many
  /// masked tokens, or more than token_choice::max_adjustments that penalties and biases may touch.
  bool has_choice() const;

  /// What a device needs to choose this request's token `index` as sample() would; what its logits
  /// are adjusted by is appended to `adjustments`. `pending`: the token behind the history, while
  /// only the device knows it (token_choice). REQUIRES: has_choice().
  token_choice choice(std::span<const token_id> history, uint32_t index, token_id pending,
                      std::vector<token_adjustment>& adjustments);

  const sampling_params& params() const { return params_; }

private:
  bool penalizes() const;
  std::span<const token_id> masked(uint32_t index) const;
  float find_tops();
  double log_sum_exp();
  std::vector<token_logprob> report_top(double log_sum);
  std::span<const token_id> window_of(std::span<const token_id> history, size_t num_behind) const;
  void adjust(std::span<const token_id> history, uint32_t index);
  void count(std::span<const token_id> window);
  void penalize(std::span<const token_id> window);
  void list_adjustments(std::span<const token_id> window, std::vector<token_adjustment>& out);
  token_id choose(uint32_t index);
  token_id first_possible(uint32_t index) const;
  token_id first_at(float top) const;
  token_id draw(float top, uint32_t index);

  sampling_params params_;
  std::vector<token_id> end_tokens_;   ///< Masked for good by ignore_eos.
  std::vector<token_id> stop_tokens_;  ///< Masked by min_tokens: end_tokens and stop_token_ids.
  uint32_t n_vocab_;
  std::shared_ptr<sampler_scratch> scratch_;
};

}  // namespace llmos
