#pragma once

#include <caf/event_based_actor.hpp>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "actors/supervisor/supervisor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/wrapped_backend.hpp"

namespace llmos::test {

/// Counts the steps of a device and fails the one it is told to.
struct step_script {
  size_t steps = 0;
  bool fail_next = false;
};

class scripted_backend : public wrapped_backend {
public:
  scripted_backend(std::unique_ptr<backend> inner, step_script* script)
      : wrapped_backend(std::move(inner)), script_(script) {}
  result<std::span<const float>> forward(const step_batch& b) override {
    ++script_->steps;
    if (std::exchange(script_->fail_next, false)) return failure{ec::engine_failed, "injected", ""};
    return inner_->forward(b);
  }

private:
  step_script* script_;
};

/// What a gateway was told about one request.
struct exchange {
  std::vector<request_id> ids;
  std::vector<failure> refusals;
  client_log log;
};

/// Asks the kernel for one generation and is its client.
inline client_actor::behavior_type asker(client_actor::stateful_pointer<fake_client_state> self,
                                         const kernel_actor& kernel, request_ptr request,
                                         exchange* out) {
  self->request(kernel, std::chrono::seconds{60}, atom::submit_v, std::move(request),
                client_actor{self})
      .then([out](request_id id) { out->ids.push_back(id); },
            [out](caf::error& e) { out->refusals.push_back(to_failure(e)); });
  return fake_client(self, &out->log);
}

/// Takes note of the rooms that it is wired with.
inline process_actor::behavior_type probe(process_actor::stateful_pointer<fake_client_state>,
                                          std::shared_ptr<std::optional<core_wiring>> rooms) {
  return {
      [rooms](atom::wire, const core_wiring& now) { *rooms = now; },
      [](atom::token, const token_event&) {},
      [](atom::cancel) {},
      [](atom::failed, const failure&) {},
      [](atom::status) { return std::string{}; },
  };
}

/// A node with the tiny model, all rooms in this thread: it stands still between any two messages,
/// and a crash can be put there. Messages are delivered in the order of their sending or, with
/// `order` set, of actors drawn at random.
struct whole_node : deterministic_system {
  temp_dir dir;
  step_script device;
  size_t others = 0;  ///< Running actors that are not of the node.
  std::optional<std::mt19937> order;
  supervisor_actor aut;
  std::vector<client_actor> clients;
  std::vector<std::unique_ptr<exchange>> exchanges;

  whole_node() {
    write_tiny_model(dir.file("tiny.gguf"));
    supervisor_args args;
    args.config.models.folder = dir.file("");
    args.config.models.default_model = "tiny";
    args.config.engine.backend = "reference";
    args.config.engine.context = 256;
    args.config.engine.kv_bytes = 1 << 20;
    args.config.engine.max_running = 2;
    args.config.kernel.max_processes = 3;
    args.detached = false;
    args.make_backend = [this](const loaded_model& m,
                               const engine_plan& plan) -> result<std::unique_ptr<backend>> {
      LLMOS_TRY(auto inner, make_backend(plan.backend, m.weights, plan.device));
      return std::unique_ptr<backend>{new scripted_backend{std::move(inner), &device}};
    };
    others = sys.registry().running();
    aut = sys.spawn(supervisor, std::move(args));
  }

  ~whole_node() {
    order.reset();
    self->send(aut, atom::stop_v);
    forget();
  }

  /// Lets the clients go.
  void forget() {
    for (const auto& c : clients) self->send_exit(c, caf::exit_reason::user_shutdown);
    clients.clear();
    settle();
    exchanges.clear();
  }

  static request_ptr make_request(uint32_t max_tokens, uint64_t seed) {
    auto r = std::make_shared<generate_request>();
    r->prompt = "the prompt of " + std::to_string(seed);
    r->sampling.max_tokens = max_tokens;
    r->sampling.seed = seed;
    r->sampling.ignore_eos = true;
    r->sampling.logprobs = true;
    r->sampling.repetition_penalty = 1.1f;
    return r;
  }

  /// Spawns a client that will send a request; nothing is delivered yet.
  exchange& ask(const kernel_actor& whom, uint32_t max_tokens, uint64_t seed) {
    exchanges.push_back(std::make_unique<exchange>());
    clients.push_back(
        sys.spawn(asker, whom, make_request(max_tokens, seed), exchanges.back().get()));
    return *exchanges.back();
  }

  /// Delivers up to `n` messages; false when there were fewer.
  bool step(size_t n = 1) {
    for (; n > 0; --n) {
      if (order && sched.jobs.size() > 1) {
        std::swap(sched.jobs.front(), sched.jobs[(*order)() % sched.jobs.size()]);
      }
      if (!sched.try_run_once()) return false;
    }
    return true;
  }
  void settle() {
    while (step()) {
    }
  }

  /// Sends a request and calls `f` with the answer, or with nothing after an error.
  template <class T, class Dest, class F, class... Ts>
  void send_request(const Dest& dest, F f, Ts... what) {
    sys.spawn([=](caf::event_based_actor* me) {
      me->request(dest, caf::infinite, what...)
          .then([f](T& x) { f(std::optional<T>{std::move(x)}); },
                [f](caf::error&) { f(std::optional<T>{}); });
    });
  }

  /// Delivers no more messages than it takes until the answer is here.
  template <class T, class Dest, class... Ts>
  std::optional<T> peek(const Dest& dest, Ts... what) {
    std::optional<std::optional<T>> out;
    send_request<T>(
        dest, [&out](std::optional<T> x) { out = std::move(x); }, what...);
    while (!out) REQUIRE(step());
    return *out;
  }

  /// The core rooms, as a process is told of them.
  core_wiring rooms() {
    const auto out = std::make_shared<std::optional<core_wiring>>();
    const auto p = sys.spawn(probe, out);
    self->send(aut, atom::started_v, process_handle{{}, p});
    while (!*out) REQUIRE(step());
    kill(p);
    return **out;
  }
  kernel_actor kernel() { return peek<kernel_actor>(aut, atom::kernel_v).value(); }
  kernel_actor kernel_after(const kernel_actor& old) {
    for (;;) {
      if (auto k = kernel(); k != old) return k;
    }
  }

  template <class Room>
  void kill(const Room& room) {
    self->send_exit(room, caf::exit_reason::kill);
  }
};

}  // namespace llmos::test
