#include <charconv>

#include "runtime/backend/evaluate.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"

namespace llmos {

namespace {

struct logits_options {
  std::string model;
  std::string tokens;
  std::string backend_name;
  std::string out_path;
};

/// "1,2,3" as ids of the vocabulary.
result<std::vector<token_id>> parse_tokens(std::string_view text, uint32_t n_vocab) {
  std::vector<token_id> ids;
  while (true) {
    const auto comma = text.find(',');
    const auto word = text.substr(0, comma);
    token_id id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || end != word.data() + word.size() || id < 0 ||
        static_cast<uint32_t>(id) >= n_vocab) {
      return failure{ec::invalid_argument, "--tokens: '" + std::string{word} + "' is no token id",
                     "write ids from 0 to " + std::to_string(n_vocab - 1) + " as 1,2,3"};
    }
    ids.push_back(id);
    if (comma == text.npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

exit_code run(const logits_options& o, const global_options& global) {
  LLMOS_CLI_TRY(auto config, effective_config(global));
  if (!o.backend_name.empty()) {
    LLMOS_CLI_TRY_VOID(set_config_key(config, "engine.backend=" + o.backend_name));
  }
  LLMOS_CLI_TRY(const auto file, open_model_file(config, o.model));
  LLMOS_CLI_TRY(const auto weights, load_model(file));
  LLMOS_CLI_TRY(const auto ids, parse_tokens(o.tokens, weights->hp.n_vocab));
  const auto num_tokens = static_cast<uint32_t>(ids.size());
  LLMOS_CLI_TRY_VOID(check_context(*weights, num_tokens, "give fewer"));
  LLMOS_CLI_TRY(const auto device, make_solo_backend(config, weights, config.engine.backend,
                                                     num_tokens, max_logit_rows));
  LLMOS_CLI_TRY_VOID(write_logits(*device, ids, o.out_path));
  return exit_code::ok;
}

}  // namespace

void add_logits(command_line& line) {
  const auto define = [](CLI::App& app, logits_options& o) {
    app.add_option("-m,--model", o.model, "A GGUF file or a model's name")->type_name("FILE|NAME");
    app.add_option("--tokens", o.tokens, "Token ids, separated by commas")
        ->type_name("IDS")
        ->required();
    app.add_option("--backend", o.backend_name, "What computes; default: engine.backend")
        ->type_name("NAME");
    app.add_option("--out", o.out_path, "Where the array goes")->type_name("FILE.npy")->required();
    app.footer(
        "Writes float32 [n_tokens, n_vocab] as a NumPy file.\n\n"
        "Examples:\n"
        "  llmos logits --tokens 1,2,3 --out logits.npy\n"
        "  llmos logits --model m.gguf --tokens 5 --backend reference --out r.npy");
  };
  add_command<logits_options>(line, "logits", "Write the logits of a token sequence", define, run);
}

}  // namespace llmos
