#include "runtime/openai/models.hpp"

#include <algorithm>

#include "runtime/base/result.hpp"
#include "runtime/openai/fields.hpp"
#include "runtime/openai/messages.hpp"
#include "runtime/openai/tools.hpp"

namespace llmos::openai {

namespace {

std::string dump(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

json entry_of(const model_status& x, int64_t created) {
  return {{"id", x.name}, {"object", "model"}, {"created", created}, {"owned_by", "llmos"}};
}

api_error unknown_field(const std::string& name) {
  const std::string shown = name.substr(0, 64);
  api_error out = invalid(shown, "unknown field '" + shown + "'");
  out.code = "unknown_field";
  return out;
}

checked read_field(tokenize_request& out, const std::string& name, const json& x) {
  if (name == "model") {
    LLMOS_TRY(out.model, read_text(x, name));
  } else if (name == "prompt") {
    LLMOS_TRY(out.prompt, read_text(x, name));
  } else if (name == "messages") {
    LLMOS_TRY(out.messages, read_messages(x));
  } else if (name == "tools") {
    LLMOS_TRY(out.tools, read_tools(x));
  } else if (name == "add_special_tokens") {
    LLMOS_TRY(out.add_special_tokens, read_bool(x, name));
  } else if (name == "add_generation_prompt") {
    if (x != true) return unsupported(name, name + ": allowed: true");
  } else if (name == "return_token_strs") {
    if (x != false) return unsupported(name, name + ": allowed: false");
  } else {
    return unknown_field(name);
  }
  return fine;
}

}  // namespace

std::string render_models(std::span<const model_status> models, int64_t created) {
  json data = json::array();
  for (const auto& x : models) data.push_back(entry_of(x, created));
  return dump({{"object", "list"}, {"data", std::move(data)}});
}

outcome<std::string> render_model(std::span<const model_status> models, std::string_view name,
                                  int64_t created) {
  const auto it = std::find_if(models.begin(), models.end(),
                               [name](const model_status& x) { return x.name == name; });
  if (it != models.end()) return dump(entry_of(*it, created));
  auto out =
      to_api_error({ec::not_found, "no model is named '" + std::string{name.substr(0, 200)} + "'",
                    "GET /v1/models lists them"});
  out.param = "model";
  return out;
}

outcome<tokenize_request> parse_tokenize_request(std::string_view body) {
  LLMOS_TRY(const auto parsed, parse_object(body));
  tokenize_request out;
  for (const auto& [name, x] : parsed.items()) {
    if (x.is_null()) continue;
    LLMOS_TRY_VOID(read_field(out, name, x));
  }
  const bool has_prompt = find_given(parsed, "prompt") != nullptr;
  if (has_prompt != out.messages.is_null()) {
    return invalid("prompt", "send either prompt or messages");
  }
  if (has_prompt && !out.tools.is_null()) return invalid("tools", "tools are for messages");
  return out;
}

std::string render_tokens(std::span<const token_id> tokens, uint32_t max_model_len) {
  return dump({{"count", tokens.size()},
               {"max_model_len", max_model_len},
               {"tokens", std::vector<token_id>{tokens.begin(), tokens.end()}}});
}

outcome<detokenize_request> parse_detokenize_request(std::string_view body) {
  LLMOS_TRY(const auto parsed, parse_object(body));
  detokenize_request out;
  for (const auto& [name, x] : parsed.items()) {
    if (name == "model") {
      if (!x.is_null()) {
        LLMOS_TRY(out.model, read_text(x, name));
      }
    } else if (name != "tokens") {
      return unknown_field(name);
    }
  }
  const json* tokens = find_given(parsed, "tokens");
  if (tokens == nullptr) return invalid("tokens", "tokens is missing");
  if (!tokens->is_array()) return wrong_type("tokens", "a list of token ids", *tokens);
  for (const auto& x : *tokens) {
    const auto id = exact_whole<token_id>(x);
    if (!id || *id < 0) return wrong_type("tokens", "token ids", x);
    out.tokens.push_back(*id);
  }
  return out;
}

std::string render_prompt(std::string_view text) {
  return dump(json::object({{"prompt", text}}));
}

}  // namespace llmos::openai
