#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/openai/json_body.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos::openai {

/// GET /v1/models: {"object": "list", "data": […]}. `created`: seconds since 1970.
std::string render_models(std::span<const model_status> models, int64_t created);

/// GET /v1/models/{name}. Errors: 404 "model_not_found".
outcome<std::string> render_model(std::span<const model_status> models, std::string_view name,
                                  int64_t created);

/// POST /tokenize: of a text, or of a chat through the model's template.
struct tokenize_request {
  std::string model;  ///< Empty: the node's default.
  std::string prompt;
  nlohmann::ordered_json messages;  ///< As of read_messages, or null.
  nlohmann::ordered_json tools;
  bool add_special_tokens = true;  ///< Whether the vocabulary's own BOS is added.
};
outcome<tokenize_request> parse_tokenize_request(std::string_view body);
std::string render_tokens(std::span<const token_id> tokens, uint32_t max_model_len);

/// POST /detokenize.
struct detokenize_request {
  std::string model;
  std::vector<token_id> tokens;  ///< Not negative; the vocabulary's size is not known here.
};
outcome<detokenize_request> parse_detokenize_request(std::string_view body);
std::string render_prompt(std::string_view text);

}  // namespace llmos::openai
