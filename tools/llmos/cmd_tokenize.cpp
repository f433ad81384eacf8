#include "runtime/text/tokenizer.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_text_bytes = 1u << 30;

struct tokenize_options {
  std::string model;
  bool special = false;
};

exit_code run(const tokenize_options& options, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(const auto file, open_model_file(config, options.model));
  LLMOS_CLI_TRY(const auto vocabulary, make_tokenizer(*file));
  LLMOS_CLI_TRY(const auto text, read_standard_input(max_text_bytes));
  encode_options how;
  how.special = options.special;
  LLMOS_CLI_TRY(const auto ids, vocabulary->encode(text, how));
  std::string out;
  for (const token_id id : ids) {
    if (!out.empty()) out += ' ';
    out += std::to_string(id);
  }
  out += '\n';
  LLMOS_CLI_TRY_VOID(write_out(out));
  return exit_code::ok;
}

}  // namespace

void add_tokenize(command_line& line) {
  const auto define = [](CLI::App& app, tokenize_options& o) {
    app.add_option("-m,--model", o.model,
                   "A GGUF file (its vocabulary is enough) or a model's name")
        ->type_name("FILE|NAME");
    app.add_flag("--special", o.special, "Recognise special tokens in the text");
    app.footer(
        "Reads text from standard input, byte by byte as it is, and prints the ids on one line,\n"
        "without BOS and EOS.\n\n"
        "Examples:\n"
        "  printf 'Hello world' | llmos tokenize\n"
        "  printf '<|im_start|>user' | llmos tokenize --model vocab.gguf --special");
  };
  add_command<tokenize_options>(line, "tokenize", "Print the token ids of a text", define, run);
}

}  // namespace llmos
