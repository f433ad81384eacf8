#include <unistd.h>

#include <caf/actor_system.hpp>
#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>

#include "actors/node.hpp"
#include "runtime/jobs/log_exchange.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/host.hpp"
#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/output.hpp"
#include "tools/llmos/run_client.hpp"
#include "tools/llmos/sampling_flags.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_prompt_bytes = 64u << 20;

struct run_options {
  std::string model;
  std::string system;
  std::optional<std::string> prompt;
  bool raw = false;
  bool as_json = false;
  int32_t priority = 0;
  bool stats = false;
  sampling_flags sampling;
};

/// The prompt argument, or standard input; of the latter's last line end a chat knows nothing.
result<std::string> read_prompt(const run_options& o) {
  std::string text;
  if (o.prompt && *o.prompt != "-") {
    text = *o.prompt;
  } else {
    LLMOS_TRY(text, read_standard_input(max_prompt_bytes));
    if (!o.raw && text.ends_with('\n')) text.pop_back();
  }
  if (text.empty()) {
    return failure{ec::invalid_argument, "the prompt is empty",
                   "llmos run \"your question\", or pipe it into the command"};
  }
  LLMOS_TRY_VOID(check_text("the prompt", text));
  return text;
}

/// Log-probabilities are told in JSON only, alternatives only with those of the tokens.
result<void> check_logprobs(const run_options& o) {
  const bool wanted = o.sampling.count("logprobs") != 0;
  if (wanted && !o.as_json) {
    return failure{ec::invalid_argument, "--logprobs: the plain answer has no place for them",
                   "add --json"};
  }
  if (!wanted && o.sampling.count("top_logprobs") != 0) {
    return failure{ec::invalid_argument, "--top-logprobs says nothing without --logprobs",
                   "add --json --logprobs"};
  }
  return {};
}

result<request_ptr> make_request(const run_options& o, const node_config& config) {
  LLMOS_TRY_VOID(check_logprobs(o));
  auto request = std::make_shared<generate_request>();
  request->model = o.model;
  request->priority = o.priority;
  request->sampling = config.sampling;
  LLMOS_TRY_VOID(apply(o.sampling, request->sampling));
  LLMOS_TRY(std::string prompt, read_prompt(o));
  LLMOS_TRY_VOID(check_text("the system prompt", o.system));
  if (o.raw) {
    request->prompt = std::move(prompt);
  } else {
    request->messages = nlohmann::ordered_json::array();
    if (!o.system.empty()) {
      request->messages.push_back({{"role", "system"}, {"content", o.system}});
    }
    request->messages.push_back({{"role", "user"}, {"content", std::move(prompt)}});
  }
  if (o.as_json) request->sampling.logprobs = true;  // tells the ids
  return request_ptr{std::move(request)};
}

std::string json_answer(const outcome& x, bool with_logprobs) {
  nlohmann::ordered_json ids = nlohmann::ordered_json::array();
  for (const auto& t : x.tokens) ids.push_back(t.id);
  nlohmann::ordered_json out = {{"model", x.done->model},
                                {"text", x.text},
                                {"finish_reason", to_string(x.done->reason)},
                                {"stop_string", x.done->stop_string},
                                {"tokens", std::move(ids)},
                                {"usage", to_json(x.done->usage)},
                                {"seed", x.done->seed}};
  if (with_logprobs) out["logprobs"] = logprobs_json(x.tokens);
  return to_line(out) + "\n";
}

void print_stats(const generation_usage& u) {
  char text[160];
  std::snprintf(text, sizeof text,
                "%u prompt tokens (%u cached), %u new; first token %.0f ms, then %.1f tokens/s\n",
                u.prompt_tokens, u.cached_tokens, u.completion_tokens,
                static_cast<double>(u.first_token_us) / 1000, u.decode_tokens_per_s());
  write_error(text);
}

/// What is left to print and say once the answer is complete.
exit_code finish(const run_options& o, const outcome& x, const sampling_params& sampling) {
  if (!x.done) return report(x.error);
  if (o.as_json) {
    LLMOS_CLI_TRY_VOID(write_out(json_answer(x, o.sampling.count("logprobs") != 0)));
  } else if (!x.text.empty() && x.text.back() != '\n') {
    LLMOS_CLI_TRY_VOID(write_out("\n"));
  }
  if (x.done->reason == finish_reason::length && !sampling.max_tokens_asked) {
    write_error("llmos: note: the answer was cut at " +
                std::to_string(x.done->usage.completion_tokens) +
                (x.done->context_full ? " tokens: the context is full; engine.context allows more\n"
                                      : " tokens; -n N allows more\n"));
  }
  if (o.stats) print_stats(x.done->usage);
  return exit_code::ok;
}

/// Sends the request and waits for its end, or for signals: the first cancels, the second kills.
/// Returns what came and the signal, 0 if none.
std::pair<outcome, int> converse(host& system, interrupts& signals, request_ptr request,
                                 bool stream) {
  auto promise = std::make_shared<std::promise<outcome>>();
  auto answer = promise->get_future();
  run_client_args args;
  args.find_kernel = [&system] { return system.kernel(); };
  args.request = std::move(request);
  args.write = [stream](std::string_view text) {
    return stream ? write_out(text) : result<void>{};
  };
  args.finish = [promise, &signals](outcome x) {
    promise->set_value(std::move(x));
    signals.notify();
  };
  auto client = system.system().spawn<caf::detached>(run_client, std::move(args));
  const int signal = signals.wait();
  if (signal != 0) {
    signals.release();
    caf::anon_send(client, atom::cancel_v);
  }
  client = nullptr;  // or the system's end waits for it
  return {answer.get(), signal};
}

exit_code run(const run_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(const auto request, make_request(o, config));
  interrupts signals;
  LLMOS_CLI_TRY(const auto system, host::find(config, global));
  const auto [answer, signal] = converse(*system, signals, request, !o.as_json);
  system->stop();
  log_exchange(config, *request, answer);
  if (signal != 0) {
    write_error("\n");
    return static_cast<exit_code>(128 + signal);
  }
  return finish(o, answer, request->sampling);
}

}  // namespace

void add_run(command_line& line) {
  const auto define = [](CLI::App& app, run_options& o) {
    app.add_option("prompt", o.prompt, "What to ask; absent or -: standard input")
        ->type_name("TEXT");
    app.add_option("-m,--model", o.model,
                   "A GGUF file or a model's name; default: models.default_model")
        ->type_name("FILE|NAME");
    app.add_option("--system", o.system, "System prompt")->type_name("TEXT");
    app.add_flag("--raw", o.raw, "Send the prompt as it is, without the chat template")
        ->excludes("--system");
    app.add_flag("--json", o.as_json, "Print one JSON object at the end instead of the text");
    app.add_option("--priority", o.priority, "Lower goes first; below 0 is for operators")
        ->type_name("N");
    app.add_flag("--stats", o.stats, "Say tokens, time to first token and speed on standard error");
    add_sampling_flags(app, o.sampling);
    app.footer(
        "Examples:\n"
        "  llmos run \"Why is the sky blue?\"\n"
        "  llmos run --temperature 0 -n 40 --system \"Answer in one sentence.\" \"What is CAF?\"\n"
        "  cat letter.txt | llmos run --system \"Summarise this letter.\"\n"
        "  llmos run --raw -n 20 \"Once upon a time\"\n"
        "  llmos run --json \"Name a colour\" | jq -r .text");
  };
  add_command<run_options>(line, "run", "Answer one prompt", define, run);
}

}  // namespace llmos
