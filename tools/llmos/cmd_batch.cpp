#include <unistd.h>

#include <caf/actor_system.hpp>
#include <chrono>
#include <future>
#include <optional>

#include "actors/gateway/batch/console.hpp"
#include "actors/node.hpp"
#include "runtime/jobs/job_file.hpp"
#include "runtime/jobs/log_exchange.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/host.hpp"
#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

struct batch_options {
  std::string job_path;
  bool overwrite = false;
  bool resume = false;
  bool check = false;
};

struct batch_end {
  job_counts counts;
  failure why;
};

std::function<uint64_t()> stopwatch() {
  return [start = std::chrono::steady_clock::now()] {
    const auto elapsed = std::chrono::steady_clock::now() - start;
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
  };
}

/// The job's streams: its file or standard output for lines, standard output for answers.
console_io make_io(const node_config& config, const batch_job& job, job_file* file) {
  console_io io;
  if (file != nullptr) {
    io.write_line = [file](std::string_view line) { return file->write(line); };
  } else if (job.output == "-") {
    io.write_line = [](std::string_view line) { return write_out(std::string{line} + "\n"); };
  }
  if (job.print) io.print = write_out;
  io.log = [&config](const job_item& item, const outcome& x) {
    log_exchange(config, item.request, x);
  };
  io.show_progress = write_error;
  io.elapsed_ms = stopwatch();
  io.is_terminal = ::isatty(STDERR_FILENO) != 0;
  return io;
}

result<std::optional<job_file>> open_output(const batch_options& o, const batch_job& job) {
  if (job.output.empty() || job.output == "-") return std::optional<job_file>{};
  const auto how = o.resume      ? existing_output::resume
                   : o.overwrite ? existing_output::overwrite
                                 : existing_output::refuse;
  LLMOS_TRY(auto file, job_file::open(job, how));
  return std::optional<job_file>{std::move(file)};
}

void say_draining(bool is_terminal) {
  write_error(std::string{is_terminal ? "\n" : ""} +
              "llmos: finishing what runs; once more cancels it\n");
}

/// Runs the job to its end. The first signal lets what runs come to its end (kernel.drain_ms), the
/// second cancels it, the third kills the program.
std::pair<batch_end, int> run_job(host& system, interrupts& signals, batch_args args, console_io io,
                                  std::chrono::milliseconds drain) {
  auto promise = std::make_shared<std::promise<batch_end>>();
  auto end = promise->get_future();
  io.finished = [promise, &signals](const job_counts& counts, const failure& why) {
    promise->set_value({counts, why});
    signals.notify();
  };
  const bool is_terminal = io.is_terminal;
  args.find_kernel = [&system] { return system.kernel(); };
  args.listener = std::make_shared<batch_console>(args.job, args.is_done, std::move(io));
  auto gateway = system.system().spawn<caf::detached>(batch, std::move(args));
  const int signal = signals.wait();
  if (signal != 0) {
    caf::anon_send(gateway, atom::drain_v, caf::timespan{drain});
    say_draining(is_terminal);
    if (signals.wait() != 0) {
      signals.release();
      caf::anon_send(gateway, atom::cancel_v);
    }
  }
  gateway = nullptr;  // or the system's end waits for it
  return {end.get(), signal};
}

exit_code summarise(const batch_end& end, uint64_t elapsed_ms, int signal) {
  const bool lost_reader = end.why == reader_gone();
  if (end.why.code != ec::none && !lost_reader) return report(end.why);
  write_error(progress_text(end.counts, elapsed_ms) + " in " + clock_text(elapsed_ms / 1000) +
              "\n");
  if (lost_reader) {  // a question may end quietly then; a job has work left
    write_error("llmos: stopped: " + end.why.text + "\n");
    return exit_code::failed;
  }
  if (signal != 0) {
    write_error("llmos: stopped; llmos batch --resume runs the rest\n");
    return static_cast<exit_code>(128 + signal);
  }
  return end.counts.failed == 0 ? exit_code::ok : exit_code::failed;
}

exit_code run(const batch_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(auto loaded, load_job(o.job_path, config.sampling));
  const auto job = std::make_shared<const batch_job>(std::move(loaded));
  if (o.check) {
    LLMOS_CLI_TRY_VOID(check_models(*job, config));
    write_error(o.job_path + ": " + std::to_string(job->items.size()) + " items, no mistake\n");
    return exit_code::ok;
  }
  LLMOS_CLI_TRY(auto file, open_output(o, *job));
  if (file && file->num_changed() > 0) {
    write_error("llmos: note: " + std::to_string(file->num_changed()) +
                " items changed since they were answered; they run again\n");
  }
  interrupts signals;
  LLMOS_CLI_TRY(const auto system, host::find(config, global));
  batch_args args;
  args.job = job;
  if (file) args.is_done = file->is_done();
  auto io = make_io(config, *job, file ? &*file : nullptr);
  const auto elapsed_ms = io.elapsed_ms;
  const std::chrono::milliseconds drain{config.kernel.drain_ms};
  const auto [end, signal] = run_job(*system, signals, std::move(args), std::move(io), drain);
  const auto took_ms = elapsed_ms();
  system->stop();
  return summarise(end, took_ms, signal);
}

}  // namespace

void add_batch(command_line& line) {
  const auto define = [](CLI::App& app, batch_options& o) {
    app.add_option("job", o.job_path, "The job")->type_name("FILE.yaml")->required();
    app.add_flag("--overwrite", o.overwrite, "Start over when the output file exists");
    app.add_flag("--resume", o.resume, "Keep what is done in the output file, run the rest")
        ->excludes("--overwrite");
    app.add_flag("--check", o.check,
                 "Read the job and all it names, look for its models, and stop");
    app.footer(
        "A job is a YAML file: model, concurrency, output, print, defaults, and items or\n"
        "items_from (a .csv or .jsonl file, one item per row, for {{ variables }}). A value\n"
        "that is exactly one {{ variable }} takes its JSON value: a number, a list of messages.\n"
        "Each item ends as one line of JSON in the output. The YAML may have 512 KiB: many items\n"
        "belong into items_from. See configs/jobs/.\n\n"
        "Ctrl-C sends nothing more and waits for what runs (kernel.drain_ms), once more cancels\n"
        "it; --resume runs the rest.\n\n"
        "Exit status 1: an item failed, or nobody reads standard output any more.\n\n"
        "Examples:\n"
        "  llmos batch configs/jobs/hello.yaml\n"
        "  llmos batch job.yaml --resume");
  };
  add_command<batch_options>(line, "batch", "Run a file of prompts", define, run);
}

}  // namespace llmos
