#include "runtime/schedule/prompt.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace llmos {

namespace {

std::string special_text(const tokenizer& t, std::optional<token_id> id) {
  return id ? std::string{t.vocabulary_text(*id)} : std::string{};
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
  return m.chat->render(input);
}

}  // namespace

result<std::vector<token_id>> encode_prompt(const loaded_model& m, const generate_request& request,
                                            std::chrono::sys_seconds now) {
  const bool chat = !request.messages.is_null();
  if (chat && !request.prompt.empty()) {
    return failure{ec::invalid_argument, "both messages and a raw prompt were given", "send one"};
  }
  std::string text = request.prompt;
  if (chat) {
    LLMOS_TRY(text, render_chat(m, request, now));
  }
  const auto& vocabulary = *m.vocabulary;
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
                           std::vector<token_id> prompt, uint64_t seed) {
  LLMOS_TRY_VOID(validate(request.sampling, m.vocabulary->size()));
  auto spec = std::make_shared<sequence_spec>();
  spec->id = id;
  spec->tenant = request.owner;
  spec->num_prompt = static_cast<uint32_t>(prompt.size());
  spec->tokens = std::move(prompt);
  spec->sampling = request.sampling;
  if (!spec->sampling.seed) spec->sampling.seed = seed;
  const auto eog = m.vocabulary->end_of_generation();
  spec->eog_ids.assign(eog.begin(), eog.end());
  spec->end_ids = spec->sampling.stop_token_ids;
  if (!spec->sampling.ignore_eos) spec->end_ids.insert(spec->end_ids.end(), eog.begin(), eog.end());
  std::sort(spec->end_ids.begin(), spec->end_ids.end());
  return spec_ptr{std::move(spec)};
}

}  // namespace llmos
