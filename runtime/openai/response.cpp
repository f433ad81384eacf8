#include "runtime/openai/response.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "runtime/base/utf8.hpp"
#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

namespace {

/// Stands for minus infinity, as in OpenAI's answers: JSON has no such number.
constexpr float least_logprob = -9999;

std::string dump(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string event(const json& x) {
  return "data: " + dump(x) + "\n\n";
}

/// JSON holds no broken characters: a token that is one is shown byte by byte.
std::string shown(const std::string& bytes) {
  if (!first_invalid_utf8(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) {
    char text[8];
    std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
    out += text;
  }
  return out;
}

json byte_values(const std::string& bytes) {
  json out = json::array();
  for (const char c : bytes) out.push_back(static_cast<uint8_t>(c));
  return out;
}

json token_entry(token_id id, float logprob, const token_bytes& bytes_of) {
  const std::string bytes = bytes_of(id);
  return {{"token", shown(bytes)},
          {"logprob", std::max(logprob, least_logprob)},
          {"bytes", byte_values(bytes)}};
}

json chat_logprobs(std::span<const sampled_token> tokens, const token_bytes& bytes) {
  json content = json::array();
  for (const auto& t : tokens) {
    json entry = token_entry(t.id, t.logprob, bytes);
    entry["top_logprobs"] = json::array();
    for (const auto& other : t.top) {
      entry["top_logprobs"].push_back(token_entry(other.id, other.logprob, bytes));
    }
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

/// Characters, as the offsets of the older endpoint count.
size_t num_characters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(
      bytes.begin(), bytes.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

/// A map of texts: the likelier of two tokens with the same text stays. The chosen one is in it.
json top_of(const sampled_token& t, const token_bytes& bytes) {
  json out = json::object();
  const auto add = [&](token_id id, float logprob) {
    const auto text = shown(bytes(id));
    if (!out.contains(text)) out[text] = std::max(logprob, least_logprob);
  };
  for (const auto& other : t.top) add(other.id, other.logprob);
  add(t.id, t.logprob);
  return out;
}

json text_logprobs(std::span<const sampled_token> tokens, size_t& offset,
                   const token_bytes& bytes) {
  json out = {{"tokens", json::array()},
              {"token_logprobs", json::array()},
              {"top_logprobs", json::array()},
              {"text_offset", json::array()}};
  for (const auto& t : tokens) {
    const std::string text = bytes(t.id);
    out["tokens"].push_back(shown(text));
    out["token_logprobs"].push_back(std::max(t.logprob, least_logprob));
    out["top_logprobs"].push_back(t.top.empty() ? json{} : top_of(t, bytes));
    out["text_offset"].push_back(offset);
    offset += num_characters(text);
  }
  return out;
}

json logprobs_of(endpoint where, std::span<const sampled_token> tokens, size_t* offset,
                 const token_bytes& bytes) {
  if (offset == nullptr) return nullptr;
  return where == endpoint::chat ? chat_logprobs(tokens, bytes)
                                 : text_logprobs(tokens, *offset, bytes);
}

const char* word_of(finish_reason reason, bool has_calls) {
  switch (reason) {
    case finish_reason::length: return "length";
    case finish_reason::cancelled: return "abort";
    default: return has_calls ? "tool_calls" : "stop";
  }
}

json call_entry(const tool_call& x) {
  return {{"id", x.id},
          {"type", "function"},
          {"function", {{"name", x.name}, {"arguments", x.arguments}}}};
}

json message_of(const choice_result& x) {
  json out = {{"role", "assistant"}, {"content", x.text}, {"refusal", nullptr}};
  if (x.calls.empty()) return out;
  if (x.text.empty()) out["content"] = nullptr;
  out["tool_calls"] = json::array();
  for (const auto& call : x.calls) out["tool_calls"].push_back(call_entry(call));
  return out;
}

json usage_of(const usage_counts& x) {
  return {{"prompt_tokens", x.prompt_tokens},
          {"completion_tokens", x.completion_tokens},
          {"total_tokens", x.prompt_tokens + x.completion_tokens},
          {"prompt_tokens_details", json::object({{"cached_tokens", x.cached_tokens}})}};
}

json body_of(const response_head& head, const char* chat_object, json choices) {
  const bool is_chat = head.where == endpoint::chat;
  return {{"id", head.id},
          {"object", is_chat ? chat_object : "text_completion"},
          {"created", head.created},
          {"model", head.model},
          {"choices", std::move(choices)}};
}

/// An event with one choice, or with none.
std::string chunk(const response_head& head, json choices) {
  json body = body_of(head, "chat.completion.chunk", std::move(choices));
  if (head.include_usage) body["usage"] = nullptr;
  return event(body);
}

json list_of_one(json x) {
  json out = json::array();
  out.push_back(std::move(x));
  return out;
}

json choice_of(uint32_t index, const char* what, json content, json logprobs, json reason) {
  return {{"index", index},
          {what, std::move(content)},
          {"logprobs", std::move(logprobs)},
          {"finish_reason", std::move(reason)}};
}

json delta_of(const choice_delta& x) {
  json out = json::object();
  if (!x.text.empty() || x.calls.empty()) out["content"] = x.text;
  if (x.calls.empty()) return out;
  out["tool_calls"] = json::array();
  uint32_t index = x.first_call;
  for (const auto& call : x.calls) {
    json entry = json::object({{"index", index++}});
    entry.update(call_entry(call));
    out["tool_calls"].push_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::string response_id(endpoint where, uint64_t random_high, uint64_t random_low) {
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx",
                static_cast<unsigned long long>(random_high),
                static_cast<unsigned long long>(random_low));
  return std::string{where == endpoint::chat ? "chatcmpl-" : "cmpl-"} + digits;
}

void usage_counts::add(const generation_usage& x, bool is_first_of_prompt) {
  completion_tokens += x.completion_tokens;
  if (!is_first_of_prompt) return;
  prompt_tokens += x.prompt_tokens;
  cached_tokens += x.cached_tokens;
}

std::string render_completion(const response_head& head, std::span<const choice_result> choices,
                              const usage_counts& usage, bool logprobs, const token_bytes& bytes) {
  json list = json::array();
  for (uint32_t i = 0; i < choices.size(); ++i) {
    const auto& x = choices[i];
    size_t offset = 0;
    const bool is_chat = head.where == endpoint::chat;
    list.push_back(choice_of(i, is_chat ? "message" : "text",
                             is_chat ? message_of(x) : json(x.text),
                             logprobs_of(head.where, x.tokens, logprobs ? &offset : nullptr, bytes),
                             word_of(x.reason, !x.calls.empty())));
  }
  json body = body_of(head, "chat.completion", std::move(list));
  body["usage"] = usage_of(usage);
  return dump(body);
}

std::string role_event(const response_head& head, uint32_t index) {
  json delta = {{"role", "assistant"}, {"content", ""}};
  return chunk(head, list_of_one(choice_of(index, "delta", std::move(delta), nullptr, nullptr)));
}

std::string chunk_event(const response_head& head, uint32_t index, const choice_delta& delta,
                        size_t* text_offset, const token_bytes& bytes) {
  const bool is_chat = head.where == endpoint::chat;
  return chunk(head,
               list_of_one(choice_of(
                   index, is_chat ? "delta" : "text", is_chat ? delta_of(delta) : json(delta.text),
                   logprobs_of(head.where, delta.tokens, text_offset, bytes), nullptr)));
}

std::string finish_event(const response_head& head, uint32_t index, finish_reason reason,
                         bool has_calls) {
  const bool is_chat = head.where == endpoint::chat;
  return chunk(head, list_of_one(choice_of(index, is_chat ? "delta" : "text",
                                           is_chat ? json::object() : json(""), nullptr,
                                           word_of(reason, has_calls))));
}

std::string usage_event(const response_head& head, const usage_counts& usage) {
  json body = body_of(head, "chat.completion.chunk", json::array());
  body["usage"] = usage_of(usage);
  return event(body);
}

std::string error_event(const api_error& x) {
  return "data: " + render_error(x) + "\n\n";
}

checked check_tool_choice(const tool_choice& asked, std::span<const tool_call> calls) {
  const bool is_forced =
      asked.what == tool_choice::kind::required || asked.what == tool_choice::kind::function;
  if (!is_forced) return fine;
  const bool is_met = !calls.empty() && std::all_of(calls.begin(), calls.end(), [&](const auto& c) {
    return asked.what == tool_choice::kind::required || c.name == asked.function;
  });
  if (is_met) return fine;
  return api_error{500, "server_error",
                   "the model did not make the tool call that tool_choice asks for; ask again, or "
                   "send tool_choice: auto",
                   "tool_choice", "no_tool_call"};
}

}  // namespace llmos::openai
