#include "runtime/schedule/prompt.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace llmos {

namespace {

std::string special_text(const tokenizer& t, std::optional<token_id> id) {
  return id ? std::string{t.vocabulary_text(*id)} : std::string{};
}

/// Those that call tools and say nothing (`content: null`) with an empty text instead; nothing when
/// there is none.
std::optional<nlohmann::ordered_json> with_empty_texts(const nlohmann::ordered_json& messages) {
  bool has_some = false;
  auto out = messages;
  for (auto& message : out) {
    if (!message.is_object() || !message.contains("tool_calls")) continue;
    if (!message.contains("content") || !message["content"].is_null()) continue;
    message["content"] = "";
    has_some = true;
  }
  return has_some ? std::optional(std::move(out)) : std::nullopt;
}

result<std::string> render_chat(const loaded_model& m, const generate_request& request,
                                std::chrono::sys_seconds now) {
  if (!m.chat) {
    return failure{ec::invalid_argument, m.name + " carries no chat template",
                   "send a raw prompt instead of messages (--raw)"};
  }
  const auto bos = special_text(*m.vocabulary, m.vocabulary->bos());
  const auto eos = special_text(*m.vocabulary, m.vocabulary->eos());
  template_input input;
  input.messages = &request.messages;
  input.tools = request.tools.is_null() ? nullptr : &request.tools;
  input.bos_token = bos;
  input.eos_token = eos;
  input.now = now;
  auto rendered = m.chat->render(input);
  if (rendered) return rendered;
  // A template that puts texts together does not know messages without one.
  const auto spoken = with_empty_texts(request.messages);
  if (!spoken) return rendered;
  input.messages = &*spoken;
  auto again = m.chat->render(input);
  return again ? again : rendered;
}

/// Shrinks a max_tokens that nobody asked for to what the prompt leaves of the context.
result<void> fit(sampling_params& p, uint32_t num_prompt, uint32_t context) {
  if (p.max_tokens_asked || p.max_tokens == 0) return {};
  if (num_prompt >= context) {
    return failure{
        ec::over_context,
        std::to_string(num_prompt) +
            " prompt tokens leave no room for an answer: they fill or exceed the context of " +
            std::to_string(context),
        "shorten the prompt or raise engine.context"};
  }
  p.max_tokens = std::min(p.max_tokens, std::max(context - num_prompt, p.min_tokens));
  return {};
}

}  // namespace

result<std::vector<token_id>> encode_prompt(const loaded_model& m, const generate_request& request,
                                            std::chrono::sys_seconds now, uint32_t context) {
  const bool chat = !request.messages.is_null();
  if (chat && !request.prompt.empty()) {
    return failure{ec::invalid_argument, "both messages and a raw prompt were given", "send one"};
  }
  std::string text = request.prompt;
  if (chat) {
    LLMOS_TRY(text, render_chat(m, request, now));
  }
  const auto& vocabulary = *m.vocabulary;
  if (const auto n = vocabulary.tokens_at_least(text); n > context) {
    return failure{ec::over_context,
                   "the prompt has at least " + std::to_string(n) +
                       " tokens; they exceed the context of " + std::to_string(context),
                   "shorten the prompt"};
  }
  encode_options options;
  options.special = true;
  options.add_bos = vocabulary.bos() && vocabulary.add_bos_by_default() &&
                    !text.starts_with(special_text(vocabulary, vocabulary.bos()));
  LLMOS_TRY(auto tokens, vocabulary.encode(text, options));
  if (tokens.empty()) {
    return failure{ec::invalid_argument, "the prompt has no tokens", "send some text"};
  }
  return tokens;
}

result<spec_ptr> make_spec(const loaded_model& m, const generate_request& request, request_id id,
                           std::vector<token_id> prompt, uint64_t seed, uint32_t context) {
  LLMOS_TRY_VOID(validate(request.sampling, m.vocabulary->size()));
  auto spec = std::make_shared<sequence_spec>();
  spec->id = id;
  spec->tenant = request.owner;
  spec->priority = request.priority;
  spec->num_prompt = static_cast<uint32_t>(prompt.size());
  spec->tokens = std::move(prompt);
  spec->sampling = request.sampling;
  LLMOS_TRY_VOID(fit(spec->sampling, spec->num_prompt, context));
  if (!spec->sampling.seed) spec->sampling.seed = seed;
  const auto eog = m.vocabulary->end_of_generation();
  spec->eog_ids.assign(eog.begin(), eog.end());
  spec->end_ids = spec->sampling.stop_token_ids;
  if (!spec->sampling.ignore_eos) spec->end_ids.insert(spec->end_ids.end(), eog.begin(), eog.end());
  std::sort(spec->end_ids.begin(), spec->end_ids.end());
  return spec_ptr{std::move(spec)};
}

}  // namespace llmos
