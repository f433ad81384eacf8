#pragma once

#include <caf/stateful_actor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/gateway/shell/command.hpp"
#include "actors/gateway/shell/input.hpp"
#include "actors/gateway/shell/output.hpp"
#include "actors/gateway/shell/session.hpp"
#include "actors/protocol.hpp"

namespace llmos {

/// SHELL. One person's chat: reads inputs, asks the kernel, shows answers. One input at a time: the
/// next may come when the output was told `ready`. Detached, since terminals block.
using shell_actor = caf::typed_actor<
    // The kernel of this moment; sent again before each input, since kernels are restarted.
    caf::reacts_to<atom::wire, kernel_actor>,
    // One line of input, or several of a paste.
    caf::reacts_to<atom::submit, std::string>,
    // Loads a model before the first input, as /load does; empty: the session's model.
    caf::reacts_to<atom::load, std::string>,
    // Ctrl-C: stops the answer, or the waiting for a command, or drops an open """.
    caf::reacts_to<atom::cancel>,
    // Its own alarm: this generation should have ended long ago.
    caf::reacts_to<atom::deadline, request_id>>::extend_with<client_actor>;

/// SHELL's state.
///
///          command ┌──────▶ waiting ─────answer, error, Ctrl-C────┐
///   idle ──────────┤                                              ├─▶ idle
///         question └─▶ submitting ──id──▶ answering ──terminal────┘
///                                            │ Ctrl-C: cancel; Ctrl-C again: wait no longer
struct shell_state {
  static inline constexpr const char* name = "shell";

  explicit shell_state(shell_actor::stateful_pointer<shell_state> self) : self(self) {}

  void start(const node_config& config, std::shared_ptr<shell_output> out);
  void wire(const kernel_actor& k);
  void kernel_down(const caf::down_msg& d);
  void read(const std::string& line);
  void load(const std::string& model);
  void interrupt();
  void chunk(const text_chunk& c);
  void done(const generation_done& d);
  void failed(request_id id, const failure& why);
  void overdue(request_id id);

  shell_actor::stateful_pointer<shell_state> self;

private:
  enum class phase : uint8_t { idle, waiting, submitting, answering };

  void run(const shell_command& c);
  void run_set(const shell_command& c);
  void run_show(const std::string& what);
  void run_system(const std::string& text);
  void run_clear();
  void run_regen();
  void run_read(const shell_command& c);
  void run_kill(const std::string& id);

  /// Ends a command at once: with text, or an error.
  void say(const std::string& text);
  void refuse(const failure& why);

  /// Sends a request to the kernel; its answer ends the command.
  template <class T, class OnAnswer, class... Ts>
  void ask_kernel(caf::timespan timeout, OnAnswer on_answer, Ts... request);

  void submit(request_ptr request);
  void submitted(request_id id);
  void cancel_generation();
  /// Runs `f` if `id` is the generation of this moment, later if its id is not known yet.
  void if_mine(request_id id, std::function<void()> f);
  void end_answer(const std::string& notes);
  void end_input(shell_output::next what = shell_output::next::prompt);

  kernel_actor kernel_;
  std::shared_ptr<shell_output> out_;
  std::optional<chat_session> session_;
  input_joiner joiner_;
  std::chrono::milliseconds deadline_{};
  phase phase_ = phase::idle;
  uint64_t input_ = 0;  // replies to earlier inputs are stale
  request_id id_;
  bool stop_wanted_ = false;
  bool line_open_ = false;  // the answer's last line has no end yet
  std::vector<std::pair<request_id, std::function<void()>>> early_;
};

shell_actor::behavior_type shell(shell_actor::stateful_pointer<shell_state> self,
                                 const node_config& config, std::shared_ptr<shell_output> out);

}  // namespace llmos
