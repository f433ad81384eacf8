#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/base/types.hpp"
#include "runtime/sampling/sampler.hpp"

namespace llmos {

/// Names one accepted request, its process and its sequence in an engine. Never reused in a node.
struct request_id {
  uint64_t value = 0;
  friend auto operator<=>(const request_id&, const request_id&) = default;
};

/// Everything an engine needs to know to generate one sequence. Immutable and shared.
struct sequence_spec {
  request_id id;
  std::string tenant;             ///< Prefixes are shared only within one tenant.
  int32_t priority = 0;           ///< Lower goes first.
  std::vector<token_id> tokens;   ///< Prompt, then the tokens already delivered (replay).
  uint32_t num_prompt = 0;        ///< tokens[0, num_prompt) came from the client.
  sampling_params sampling;       ///< Validated; seed set; max_tokens counts from num_prompt.
  std::vector<token_id> end_ids;  ///< End-of-generation and stop ids, ascending.
  std::vector<token_id> eog_ids;  ///< Those that min_tokens and ignore_eos mask, ascending.
};
using spec_ptr = std::shared_ptr<const sequence_spec>;

/// One sequence's share of a step.
struct plan_entry {
  request_id id;
  uint32_t num_past = 0;    ///< Positions already in the KV cache.
  uint32_t num_tokens = 0;  ///< Rows of this step: tokens [num_past, num_past + num_tokens).
  bool sample = false;      ///< The last row's logits choose the next token.
  /// Guesses of the tokens that follow, verified in as many further rows: the sequence's new tokens
  /// come true row by row until one differs. Only where `sample` is set.
  std::vector<token_id> drafts;
  std::vector<block_id> new_blocks;  ///< Appended to the executor's block table.
  spec_ptr spec;  ///< Set when the executor meets the sequence for the first time.
  /// Its only token is the one that the step before chooses for it: this step was planned ahead.
  bool follows = false;
};

/// One unit of work for an executor.
struct step_plan {
  uint64_t step = 0;
  std::vector<request_id> ended;  ///< Sequences the executor forgets before this step.
  std::vector<plan_entry> entries;
};

using step_plan_ptr = std::shared_ptr<const step_plan>;

/// A token chosen in a step.
struct step_token {
  request_id id;
  sampled_token token;
};

/// What a step brought. `error.code != ec::none`: the device failed and nothing else is valid.
struct step_result {
  uint64_t step = 0;
  std::vector<step_token> tokens;  ///< In the plan's order; more than one where drafts were right.
  failure error;
  uint32_t num_rows = 0;
  uint64_t forward_us = 0;
  uint64_t sample_us = 0;
  std::chrono::steady_clock::time_point started, ended;  ///< On the executor's thread.
};

/// Why a sequence stopped by itself.
enum class stop_reason : uint8_t {
  none = 0,   ///< It goes on.
  end_token,  ///< An end-of-generation or stop id was chosen.
  length,     ///< max_tokens reached.
};

/// One new token on its way to its process.
struct token_event {
  request_id id;
  uint32_t index = 0;  ///< Number of generated tokens before this one, over all replays.
  sampled_token token;
  stop_reason stop = stop_reason::none;
  uint32_t num_cached = 0;  ///< Prompt tokens that came from the prefix cache.
};

}  // namespace llmos
