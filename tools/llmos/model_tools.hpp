#pragma once

#include <memory>
#include <string>

#include "runtime/backend/backend.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/gguf/file.hpp"

namespace llmos {

/// Opens the file that a --model argument means; empty is the default model. Errors: not_found
/// naming the known models, and those of gguf_file::open.
result<std::shared_ptr<const gguf_file>> open_model_file(const node_config& config,
                                                         const std::string& model);

/// Rows whose logits the evaluating commands take at once: enough to fill the cores, and 25 MB
/// for a vocabulary of 50,000.
constexpr uint32_t max_logit_rows = 128;

/// A backend for one sequence of at most `num_tokens` tokens, the first that `backend_name` lists,
/// with the configuration's threads, block and step sizes, if its memory limit allows.
/// `max_logits`: rows whose logits one step returns.
result<std::unique_ptr<backend>> make_solo_backend(const node_config& config,
                                                   std::shared_ptr<const model> weights,
                                                   const std::string& backend_name,
                                                   uint32_t num_tokens, uint32_t max_logits);

/// Refuses more tokens than the model was trained for; `mend`: what to do then. Errors:
/// over_context.
result<void> check_context(const model& weights, uint64_t num_tokens, const std::string& mend);

}  // namespace llmos
