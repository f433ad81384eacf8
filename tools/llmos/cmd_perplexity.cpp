#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/backend/evaluate.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/text/tokenizer.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_text_bytes = 256u << 20;

struct perplexity_options {
  std::string text_path;
  std::string model;
  std::string backend_name;
  std::string compare_with;
  uint32_t window = 512;
  uint32_t max_tokens = 0;
  bool as_json = false;
};

/// What is evaluated: the text's tokens and how they are cut.
struct task {
  std::shared_ptr<const model> weights;
  std::vector<token_id> tokens;
  window_options windows;
};

result<task> prepare(const perplexity_options& o, const node_config& config) {
  LLMOS_TRY(const auto file, open_model_file(config, o.model));
  task t;
  LLMOS_TRY(t.weights, load_model(file));
  LLMOS_TRY_VOID(check_context(*t.weights, o.window, "choose a smaller --window"));
  LLMOS_TRY(const auto vocabulary, make_tokenizer(*file));
  LLMOS_TRY(const std::string text, o.text_path == "-" ? read_standard_input(max_text_bytes)
                                                       : read_file(o.text_path, max_text_bytes));
  LLMOS_TRY(t.tokens, vocabulary->encode(text, {}));
  if (o.max_tokens != 0 && t.tokens.size() > o.max_tokens) t.tokens.resize(o.max_tokens);
  t.windows.window_tokens = o.window;
  if (vocabulary->add_bos_by_default()) t.windows.bos = vocabulary->bos();
  return t;
}

/// Redraws one line on a terminal; says nothing elsewhere.
class progress_line {
public:
  void show(const std::string& text) const {
    if (is_terminal_) write_error("\r\x1b[K" + text);
  }
  ~progress_line() {
    if (is_terminal_) write_error("\r\x1b[K");
  }

private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) != 0;
};

std::string format(const char* pattern, auto... values) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, pattern, values...);
  return buffer;
}

exit_code score_one(const perplexity_options& o, const task& t, backend& device) {
  const progress_line progress;
  const auto show = [&](const text_score& s) {
    progress.show(format("%llu of %zu tokens, perplexity %.4f",
                         static_cast<unsigned long long>(s.num_scored), t.tokens.size(),
                         s.perplexity()));
  };
  LLMOS_CLI_TRY(const auto s, evaluate(device, t.tokens, t.windows, show));
  const nlohmann::ordered_json json = {
      {"perplexity", s.perplexity()},      {"tokens", t.tokens.size()},
      {"scored_tokens", s.num_scored},     {"nll", s.nll},
      {"window_tokens", o.window},         {"backend", device.info().name},
      {"numerics", device.info().numerics}};
  LLMOS_CLI_TRY_VOID(write_out(o.as_json
                                   ? json.dump() + "\n"
                                   : format("perplexity %.4f over %llu tokens\n", s.perplexity(),
                                            static_cast<unsigned long long>(s.num_scored))));
  return exit_code::ok;
}

exit_code score_two(const perplexity_options& o, const task& t, backend& device, backend& base) {
  const progress_line progress;
  const auto show = [&](const divergence& d) {
    progress.show(format("%llu of %zu tokens, mean KL %.3g",
                         static_cast<unsigned long long>(d.num_positions), t.tokens.size(),
                         d.mean_kl()));
  };
  LLMOS_CLI_TRY(const auto d, compare(base, device, t.tokens, t.windows, show));
  const nlohmann::ordered_json json = {{"perplexity", d.other.perplexity()},
                                       {"base_perplexity", d.base.perplexity()},
                                       {"perplexity_gap", d.perplexity_gap()},
                                       {"mean_kl", d.mean_kl()},
                                       {"same_top_share", d.same_top_share()},
                                       {"positions", d.num_positions},
                                       {"window_tokens", o.window},
                                       {"backend", device.info().name},
                                       {"numerics", device.info().numerics},
                                       {"base_backend", base.info().name},
                                       {"base_numerics", base.info().numerics}};
  const auto text =
      format("perplexity %.4f (%s), %.4f (%s), gap %+.3f %%\n", d.other.perplexity(),
             device.info().name.c_str(), d.base.perplexity(), base.info().name.c_str(),
             100 * d.perplexity_gap()) +
      format("mean KL %.3e, same top token %.2f %%, over %llu positions\n", d.mean_kl(),
             100 * d.same_top_share(), static_cast<unsigned long long>(d.num_positions));
  LLMOS_CLI_TRY_VOID(write_out(o.as_json ? json.dump() + "\n" : text));
  return exit_code::ok;
}

exit_code run(const perplexity_options& o, const global_options& global) {
  LLMOS_CLI_TRY(auto config, effective_config(global));
  if (!o.backend_name.empty()) {
    LLMOS_CLI_TRY_VOID(set_config_key(config, "engine.backend=" + o.backend_name));
  }
  LLMOS_CLI_TRY(const auto t, prepare(o, config));
  LLMOS_CLI_TRY(const auto device, make_solo_backend(config, t.weights, config.engine.backend,
                                                     o.window, max_logit_rows));
  if (o.compare_with.empty()) return score_one(o, t, *device);
  config.engine.kv_type = name_of(kv_type::f16);  // so that what a smaller type loses shows
  LLMOS_CLI_TRY(const auto base,
                make_solo_backend(config, t.weights, o.compare_with, o.window, max_logit_rows));
  return score_two(o, t, *device, *base);
}

}  // namespace

void add_perplexity(command_line& line) {
  const auto define = [](CLI::App& app, perplexity_options& o) {
    app.add_option("text", o.text_path, "The text; - is standard input")
        ->type_name("FILE.txt")
        ->required();
    app.add_option("-m,--model", o.model, "A GGUF file or a model's name")->type_name("FILE|NAME");
    app.add_option("--backend", o.backend_name, "What computes; default: engine.backend")
        ->type_name("NAME");
    app.add_option("--compare", o.compare_with,
                   "Also print the divergence from another backend (reference) with f16 K and V")
        ->type_name("NAME");
    app.add_option("--window", o.window, "Tokens seen at once; each window starts afresh")
        ->type_name("N")
        ->check(CLI::Range(2, 1 << 24))
        ->capture_default_str();
    app.add_option("--max-tokens", o.max_tokens, "Take only the text's first tokens; 0 = all")
        ->type_name("N");
    app.add_flag("--json", o.as_json, "Print JSON for a program");
    app.footer(
        "Examples:\n"
        "  llmos perplexity book.txt\n"
        "  llmos perplexity book.txt --max-tokens 20000 --compare reference");
  };
  add_command<perplexity_options>(line, "perplexity", "Measure how well a model predicts a text",
                                  define, run);
}

}  // namespace llmos
