#include <unistd.h>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <csignal>
#include <string>

#include "actors/gateway/shell/completion.hpp"
#include "actors/gateway/shell/session.hpp"
#include "actors/gateway/shell/shell.hpp"
#include "runtime/base/home.hpp"
#include "runtime/config/model_path.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/host.hpp"
#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/line_editor.hpp"
#include "tools/llmos/output.hpp"
#include "tools/llmos/pipe_lines.hpp"
#include "tools/llmos/sampling_flags.hpp"
#include "tools/llmos/shell_console.hpp"

namespace llmos {

namespace {

using next = shell_output::next;

struct shell_options {
  std::string model;
  std::optional<std::string> system;
  bool timing = false;
  sampling_flags sampling;
};

std::string history_path(const node_config& config) {
  if (!config.shell.history.empty()) return expand_home(config.shell.history);
  return home_folder() + "/.local/state/llmos/history";
}

completion_sources completions(const node_config& config) {
  completion_sources out;
  out.keys = chat_session{config}.keys();
  out.files = complete_path;
  out.models = [config] {
    std::vector<std::string> names;
    for (const auto& m : list_model_files(config)) names.push_back(m.name);
    return names;
  };
  return out;
}

/// The shell's main thread: reads lines and signals, hands them to the actor, waits for it.
class shell_loop {
public:
  shell_loop(host& system, const node_config& config, interrupts& signals, line_source& lines,
             bool is_terminal)
      : host_(system),
        self_(system.system()),
        signals_(signals),
        lines_(lines),
        is_terminal_(is_terminal),
        console_(std::make_shared<shell_console>(signals, is_terminal)),
        shell_(system.system().spawn<caf::detached>(shell, config, console_)) {
    // A shell that crashed will never be ready: leave instead of waiting.
    caf::actor_cast<caf::actor>(shell_)->attach_functor([out = console_](const caf::error& why) {
      if (why == caf::exit_reason::user_shutdown) return;
      out->error({ec::internal, "the shell failed: " + caf::to_string(why), "start it again"});
      out->ready(next::leave);
    });
  }

  ~shell_loop() {
    self_->send_exit(shell_, caf::exit_reason::user_shutdown);
    self_->wait_for(caf::actor_cast<caf::actor>(shell_));
  }

  exit_code run(bool timing) {
    if (timing) say(atom::submit_v, std::string{"/set timing on"});
    if (is_terminal_) say(atom::load_v, std::string{});
    std::string input;  // so far, when it has several lines
    while (!leaving_) {
      const bool more = console_->last_ready() == next::more;
      if (!more) input.clear();
      const auto event = lines_.read(more);
      if (event.what == line_event::kind::line) {
        input += (more ? "\n" : "") + event.text;
        say(atom::submit_v, event.text);
        if (console_->last_ready() != next::more) lines_.remember(input);
      } else {
        no_line(event, more);
      }
    }
    return *leaving_;
  }

private:
  /// Sends to the shell and waits until it is ready again.
  template <class... Ts>
  void say(const Ts&... what) {
    tell(what...);
    for (;;) {
      const int signal = signals_.wait();
      if (signal == 0) break;
      if (signal == SIGTSTP) {
        ::raise(SIGSTOP);
      } else if (signal == SIGINT && is_terminal_) {
        tell(atom::cancel_v);
      } else if (signal != SIGWINCH) {
        return leave_by(signal);
      }
    }
    if (console_->last_ready() == next::leave) leaving_ = ending();
  }

  template <class... Ts>
  void tell(const Ts&... what) {
    self_->send(shell_, atom::wire_v, host_.kernel());
    self_->send(shell_, what...);
  }

  void no_line(const line_event& event, bool more) {
    using kind = line_event::kind;
    if (event.what == kind::interrupted && is_terminal_) return drop_block();
    if (event.what == kind::interrupted || event.what == kind::signal)
      return leave_by(event.signal);
    if (event.what == kind::failed) console_->error(event.why);
    if (event.what == kind::end && more && !is_terminal_) {
      console_->error({ec::invalid_argument, "the input ends inside \"\"\"", "end it with \"\"\""});
    }
    leaving_ = ending();
  }

  void drop_block() {
    self_->send(shell_, atom::cancel_v);
    console_->dropped();
  }

  void leave_by(int signal) { leaving_ = static_cast<exit_code>(128 + signal); }

  /// A person has seen the errors and mended them; a script has not.
  exit_code ending() const { return is_terminal_ ? exit_code::ok : console_->first_error(); }

  host& host_;
  caf::scoped_actor self_;
  interrupts& signals_;
  line_source& lines_;
  const bool is_terminal_;
  std::shared_ptr<shell_console> console_;
  shell_actor shell_;
  std::optional<exit_code> leaving_;
};

result<node_config> configure(const shell_options& o, const global_options& global) {
  if (o.sampling.count("logprobs") != 0 || o.sampling.count("top_logprobs") != 0) {
    return failure{ec::invalid_argument, "a chat has no place for log-probabilities",
                   "llmos run --json --logprobs tells them"};
  }
  LLMOS_TRY(auto config, effective_config(global));
  LLMOS_TRY_VOID(apply(o.sampling, config.sampling));
  if (!o.model.empty()) config.models.default_model = o.model;
  if (o.system) config.shell.system = *o.system;
  LLMOS_TRY_VOID(check_text("the system prompt", config.shell.system));
  return config;
}

std::unique_ptr<line_source> open_lines(const node_config& config, interrupts& signals,
                                        bool is_terminal) {
  if (!is_terminal) return std::make_unique<pipe_lines>(STDIN_FILENO, signals);
  write_error("llmos " LLMOS_VERSION ": /help lists the commands, Ctrl-D leaves\n");
  return std::make_unique<line_editor>(signals, completions(config),
                                       history_file{history_path(config)});
}

exit_code run(const shell_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, configure(o, global));
  const bool is_terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  interrupts signals{is_terminal ? std::vector{SIGTSTP, SIGWINCH, SIGQUIT} : std::vector<int>{}};
  const auto lines = open_lines(config, signals, is_terminal);  // sets the locale: before threads
  LLMOS_CLI_TRY(const auto system, host::find(config, global));
  const auto ending = shell_loop{*system, config, signals, *lines, is_terminal}.run(o.timing);
  system->stop();
  return ending;
}

}  // namespace

void add_shell(command_line& line) {
  const auto define = [](CLI::App& app, shell_options& o) {
    app.add_option("-m,--model", o.model,
                   "A GGUF file or a model's name; default: models.default_model")
        ->type_name("FILE|NAME");
    app.add_option("--system", o.system, "System prompt; default: shell.system")->type_name("TEXT");
    app.add_flag("--timing", o.timing, "Speed and time to first token after each answer");
    add_sampling_flags(app, o.sampling);
    for (const auto* name : {"--logprobs", "--top-logprobs"}) app.get_option(name)->group("");
    app.footer(
        "On a terminal: lines can be edited and are kept in shell.history, TAB completes, Ctrl-C\n"
        "stops the answer, Ctrl-D leaves, /help lists the commands. From a pipe: one question or\n"
        "command per line, answers on standard output, exit status of the first error.\n\n"
        "Examples:\n"
        "  llmos shell\n"
        "  llmos shell --model qwen3 --system \"Answer in one sentence.\" --temperature 0\n"
        "  printf 'Name a colour.\\nAnother one.\\n' | llmos shell");
  };
  add_command<shell_options>(line, "shell", "Chat with a model", define, run);
}

}  // namespace llmos
