#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/openai/tools.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos::openai {

enum class endpoint : uint8_t {
  chat,         ///< POST /v1/chat/completions
  completions,  ///< POST /v1/completions
};

/// What holds where a request says nothing, and how much one may ask for.
struct parse_options {
  sampling_params defaults;
  uint32_t max_n = 16;         ///< Largest n.
  uint32_t max_choices = 128;  ///< Most prompts times n.
};

/// A body of either endpoint, checked: every field that it gave is in here, or changes nothing.
struct completion_request {
  endpoint where = endpoint::chat;
  std::string model;  ///< As the client wrote it; empty: the node's default.
  std::string user;   ///< The client's word for its own user; never the owner of the work.
  /// One for each prompt, without owner and deadline: who sends them on sets these.
  std::vector<generate_request> prompts;
  uint32_t n = 1;
  bool stream = false;
  bool include_usage = false;  ///< A last chunk with the usage.
  tool_choice tool_use;
  bool parallel_tool_calls = true;
  std::vector<std::string> tool_names;  ///< Of the tools that the model is told of.

  size_t num_choices() const { return prompts.size() * n; }
  /// The request behind choice `index` of the answer: prompt index / n, and where the client gave
  /// a seed, that plus index % n, so that each of the n is another one.
  generate_request choice(size_t index) const;
  int32_t priority() const { return prompts.front().priority; }
  bool logprobs() const { return prompts.front().sampling.logprobs; }
  /// The field with what the model is to read.
  std::string_view text_field() const { return where == endpoint::chat ? "messages" : "prompt"; }
};

/// Reads a body of POST /v1/chat/completions or /v1/completions. A field that is null counts as not
/// given. Errors: 400 naming the field: unknown, not supported, of a wrong type, out of range.
outcome<completion_request> parse_completion_request(endpoint where, std::string_view body,
                                                     const parse_options& options);

/// Whether each token id of `x` is one of a vocabulary of `size`. Errors: 400 naming the field.
checked check_token_ids(const completion_request& x, uint32_t size);

}  // namespace llmos::openai
