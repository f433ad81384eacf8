#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/metrics/latency_histogram.hpp"
#include "runtime/sampling/params.hpp"
#include "runtime/schedule/sequence.hpp"

namespace llmos {

/// What a client asks for. Either `messages` (chat: rendered through the model's template) or
/// `prompt` (raw text, tokenised with special tokens recognised and BOS as the model wants it).
struct generate_request {
  std::string model;            ///< Name or path; empty = the node's default model.
  std::string owner = "local";  ///< Tenant: prefix cache and accounting.
  std::string prompt;
  nlohmann::ordered_json messages;  ///< Array of {role, content, …}, or null.
  nlohmann::ordered_json tools;     ///< Array, or null.
  sampling_params sampling;
  int32_t priority = 0;      ///< Lower goes first, as with nice; below 0 is for operators.
  uint32_t deadline_ms = 0;  ///< From admission to the last token; 0 = the node's default.
};
using request_ptr = std::shared_ptr<const generate_request>;

/// Why a generation ended well.
enum class finish_reason : uint8_t {
  stop,       ///< End token, stop id or stop string.
  length,     ///< max_tokens, or the end of the context where the request asked for none.
  cancelled,  ///< Its owner asked for it.
  count_,
};
const char* to_string(finish_reason x);

/// Accounting of one generation.
struct generation_usage {
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;  ///< Prompt tokens that were not computed again.
  uint32_t completion_tokens = 0;
  uint64_t first_token_us = 0;   ///< Admission to first token.
  uint64_t total_us = 0;         ///< Admission to the end.
  latency_histogram token_gaps;  ///< From one token to the next.

  /// Rate after the first token; 0 when fewer than two came.
  double decode_tokens_per_s() const;
};

/// The terminal message of a generation that ended well.
struct generation_done {
  request_id id;
  finish_reason reason = finish_reason::stop;
  bool context_full = false;  ///< The context ended it, before the node's default max_tokens.
  std::string stop_string;    ///< The stop string that matched; empty otherwise.
  std::string model;
  uint64_t seed = 0;  ///< The seed used: drawn below 2^53 when the client gave none.
  generation_usage usage;
};

/// New text (and the tokens behind it) of a running generation. Text never ends inside a
/// character; a token's text may arrive with a later chunk.
struct text_chunk {
  request_id id;
  std::string text;
  std::vector<sampled_token> tokens;
};

/// One row of `ps`.
struct process_info {
  request_id id;
  std::string owner;
  std::string model;
  std::string state;  ///< "loading", "tokenizing", "waiting", "running"
  uint32_t prompt_tokens = 0;
  uint32_t generated_tokens = 0;
  uint64_t age_ms = 0;
};

/// One row of `models`.
struct model_status {
  std::string name;
  std::string path;
  std::string state;        ///< "on disk", "loading", "loaded", "failed"
  std::string description;  ///< Architecture, size, type; the failure's text when failed.
  uint64_t file_bytes = 0;
  bool is_default = false;
};

}  // namespace llmos
