#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/config/model_path.hpp"
#include "runtime/gguf/printable.hpp"
#include "runtime/model/model.hpp"
#include "tools/llmos/bench.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

constexpr size_t max_name_bytes = 200;

struct bench_command_options {
  bench_options bench;
  bool as_json = false;
};

struct bench_report {
  std::string model;
  uint64_t model_bytes = 0;
  backend_info device;
  std::vector<bench_row> rows;
};

std::string title(const bench_report& r, uint32_t repeats) {
  char text[200];
  std::snprintf(text, sizeof text, "%.1f MB, %s backend, %s, %s; medians of %u\n\n",
                static_cast<double>(r.model_bytes) / 1e6, r.device.name.c_str(),
                r.device.device.c_str(), r.device.numerics.c_str(), repeats);
  return printable(r.model, max_name_bytes) + ", " + text;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[200];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string line(const bench_row& row) {
  auto out = format("%-24s %10.1f tokens/s", row.what.c_str(), row.median());
  if (row.first_token) out += format("   first token %.0f ms", row.first_token->p50);
  if (row.first_token && row.token_gap) {
    out += format(" (p99 %.0f), then %.1f ms (p99 %.1f, longest %.0f)", row.first_token->p99,
                  row.token_gap->p50, row.token_gap->p99, row.token_gap->max);
  }
  if (row.ratio) out += format("   %.2f times", *row.ratio);
  out += '\n';
  if (!row.step) return out;
  const auto& s = *row.step;
  return out + format(
                   "  a step: compute %.0f us, sample %.0f; between steps %.1f %%: "
                   "deliver %.0f, plan %.0f, blocks %.0f, dispatch %.0f\n",
                   s.compute, s.sample, 100 * s.idle_share(), s.deliver, s.plan, s.blocks,
                   s.dispatch);
}

nlohmann::ordered_json to_json(const bench_latency& x) {
  return {{"p50", x.p50}, {"p99", x.p99}, {"max", x.max}};
}

nlohmann::ordered_json to_json(const step_costs& x) {
  return {{"deliver", x.deliver},        {"plan", x.plan},       {"blocks", x.blocks},
          {"dispatch", x.dispatch},      {"compute", x.compute}, {"sample", x.sample},
          {"idle_share", x.idle_share()}};
}

std::string json(const bench_report& r, uint32_t repeats) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& row : r.rows) {
    nlohmann::ordered_json x = {{"what", row.what},
                                {"tokens", row.num_tokens},
                                {"tokens_per_s", row.median()},
                                {"samples", row.tokens_per_s}};
    if (row.first_token) x["first_token_ms"] = to_json(*row.first_token);
    if (row.token_gap) x["token_gap_ms"] = to_json(*row.token_gap);
    if (row.step) x["step_us"] = to_json(*row.step);
    if (row.num_cached) x["cached_tokens"] = *row.num_cached;
    if (row.ratio) x["ratio"] = *row.ratio;
    rows.push_back(std::move(x));
  }
  const nlohmann::ordered_json out = {{"version", LLMOS_VERSION},
                                      {"build_type", LLMOS_BUILD_TYPE},
                                      {"model", r.model},
                                      {"model_bytes", r.model_bytes},
                                      {"backend", r.device.name},
                                      {"device", r.device.device},
                                      {"numerics", r.device.numerics},
                                      {"weight_bytes", r.device.weight_bytes},
                                      {"kv_bytes", r.device.kv_bytes},
                                      {"repeats", repeats},
                                      {"rows", std::move(rows)}};
  using handler = nlohmann::ordered_json::error_handler_t;
  return out.dump(2, ' ', false, handler::replace) + "\n";  // a file name may be no UTF-8
}

/// Keeps all of it and, unless JSON is asked for, prints each line as soon as it is measured.
bench_listener listen(const bench_command_options& o, bench_report& r) {
  bench_listener out;
  out.on_device = [&](const backend_info& device) {
    r.device = device;
    return o.as_json ? result<void>{} : write_out(title(r, o.bench.repeats));
  };
  out.on_row = [&](const bench_row& row) {
    r.rows.push_back(row);
    return o.as_json ? result<void>{} : write_out(line(row));
  };
  return out;
}

exit_code run(const bench_command_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(const auto found, find_model_file(config, o.bench.model));
  bench_report report_;
  report_.model = found.name;
  report_.model_bytes = found.bytes;
  const auto listener = listen(o, report_);
  {
    LLMOS_CLI_TRY(const auto file, open_model_file(config, o.bench.model));
    LLMOS_CLI_TRY(const auto weights, load_model(file));
    LLMOS_CLI_TRY_VOID(bench_backend(o.bench, config, weights, listener));
  }
  LLMOS_CLI_TRY_VOID(bench_node(o.bench, config, listener));
  if (o.as_json) {
    LLMOS_CLI_TRY_VOID(write_out(json(report_, o.bench.repeats)));
  }
  return exit_code::ok;
}

}  // namespace

void add_bench(command_line& line) {
  const auto define = [](CLI::App& app, bench_command_options& o) {
    auto& b = o.bench;
    const auto tokens = CLI::Range(1, 1 << 20);
    app.add_option("-m,--model", b.model, "A GGUF file or a model's name")->type_name("FILE|NAME");
    app.add_option("--prompt-tokens", b.prompt_tokens, "Length of the prefill")
        ->type_name("N")
        ->check(tokens)
        ->capture_default_str();
    app.add_option("--decode-tokens", b.decode_tokens, "Tokens to generate")
        ->type_name("N")
        ->check(tokens)
        ->capture_default_str();
    app.add_option("--depths", b.depths, "Also decode after so many tokens")
        ->type_name("N,N,...")
        ->delimiter(',')
        ->check(tokens)
        ->capture_default_str();
    app.add_option("--concurrent", b.concurrent, "Requests at once through the whole system")
        ->type_name("N,N,...")
        ->delimiter(',')
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    app.add_option("--rows", b.rows, "What to measure")
        ->type_name("NAME,...")
        ->delimiter(',')
        ->check(CLI::IsMember({"prefill", "decode", "depth", "concurrent", "streams", "shared",
                               "known", "mixed", "cached", "copy", "plain"}))
        ->capture_default_str();
    app.add_option("--repeats", b.repeats, "Measurements of each; medians are shown")
        ->type_name("N")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_flag("--json", o.as_json, "Print JSON for a program");
    app.footer(
        "Examples:\n"
        "  llmos bench\n"
        "  llmos bench --prompt-tokens 2048 --depths 1024,4096 --concurrent 1,8 --json\n"
        "  llmos bench --rows streams,shared,known      # 16 at once; a common prefix; a seen one\n"
        "  llmos bench --rows copy,plain                # speculation off and on\n"
        "  llmos --set engine.threads=1 bench");
  };
  add_command<bench_command_options>(line, "bench", "Measure prefill, decode and many at once",
                                     define, run);
}

}  // namespace llmos
