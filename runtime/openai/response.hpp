#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/openai/request.hpp"
#include "runtime/openai/tool_calls.hpp"

namespace llmos::openai {

/// The bytes behind a token id; they may be part of a character.
using token_bytes = std::function<std::string(token_id)>;

/// What all parts of one answer repeat.
struct response_head {
  endpoint where = endpoint::chat;
  std::string id;       ///< "chatcmpl-…" or "cmpl-…": see response_id.
  int64_t created = 0;  ///< Seconds since 1970.
  std::string model;
  bool include_usage = false;  ///< Chunks have "usage": null until the last one.
};

/// "chatcmpl-" or "cmpl-" and 32 hex digits.
std::string response_id(endpoint where, uint64_t random_high, uint64_t random_low);

/// Sums over the choices of an answer.
struct usage_counts {
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t completion_tokens = 0;

  /// Adds a choice; a prompt counts once, with its first choice.
  void add(const generation_usage& x, bool is_first_of_prompt);
};

/// A finished choice.
struct choice_result {
  std::string text;
  std::vector<tool_call> calls;
  finish_reason reason = finish_reason::stop;
  std::vector<sampled_token> tokens;  ///< Used where log-probabilities were asked for.
};

/// The whole answer: chat.completion or text_completion. `logprobs`: the request asked for them.
std::string render_completion(const response_head& head, std::span<const choice_result> choices,
                              const usage_counts& usage, bool logprobs, const token_bytes& bytes);

/// A stream is a row of events; each function gives the bytes of one: "data: {…}\n\n".
///
///   chat:         role_event ─▶ chunk_event* ─▶ finish_event ─▶ usage_event? ─▶ done_event
///   completions:                chunk_event* ─▶ finish_event ─▶ usage_event? ─▶ done_event
///   a failure:    … ─▶ error_event, and nothing more
///
/// Choices may come in any order among each other.
std::string role_event(const response_head& head, uint32_t index);

/// What is new of one choice.
struct choice_delta {
  std::string text;
  std::span<const tool_call> calls;  ///< Complete ones.
  uint32_t first_call = 0;           ///< How many calls of this choice came before.
  std::span<const sampled_token> tokens;
};

/// `text_offset`: null without log-probabilities, else characters of this choice before; it grows.
std::string chunk_event(const response_head& head, uint32_t index, const choice_delta& delta,
                        size_t* text_offset, const token_bytes& bytes);
std::string finish_event(const response_head& head, uint32_t index, finish_reason reason,
                         bool has_calls);
std::string usage_event(const response_head& head, const usage_counts& usage);
std::string error_event(const api_error& x);
inline constexpr std::string_view done_event = "data: [DONE]\n\n";

/// Whether the model did what tool_choice asked for. Nothing holds it to that yet, so who answers
/// looks. Errors: 500 naming tool_choice.
checked check_tool_choice(const tool_choice& asked, std::span<const tool_call> calls);

}  // namespace llmos::openai
