#include <doctest/doctest.h>

#include <algorithm>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <condition_variable>
#include <map>
#include <mutex>

#include "actors/error.hpp"
#include "actors/supervisor/supervisor.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/wrapped_backend.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Lets the device run as many steps as it has been given.
class allowance {
public:
  void give(size_t steps) {
    std::lock_guard lock{m_};
    left_ += steps;
    cv_.notify_all();
  }
  void withdraw() {
    std::lock_guard lock{m_};
    left_ = 0;
  }
  void take() {
    std::unique_lock lock{m_};
    cv_.wait(lock, [this] { return left_ > 0; });
    --left_;
  }

private:
  std::mutex m_;
  std::condition_variable cv_;
  size_t left_ = 0;
};

class rationed_backend : public test::wrapped_backend {
public:
  rationed_backend(std::unique_ptr<backend> inner, allowance* steps)
      : wrapped_backend(std::move(inner)), steps_(steps) {}
  result<std::span<const float>> forward(const step_batch& b) override {
    steps_->take();
    return inner_->forward(b);
  }

private:
  allowance* steps_;
};

struct threaded_config : caf::actor_system_config {
  threaded_config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", size_t{4});
    register_messages(*this);
  }
};

/// The rooms of a node on real threads, with the supervisor in hand.
struct fixture {
  static constexpr size_t num_streams = 4, num_tokens = 100;
  static constexpr size_t unlimited = 1'000'000;

  test::temp_dir dir;
  allowance steps;
  threaded_config config;
  caf::actor_system sys{config};
  caf::scoped_actor self{sys};
  supervisor_actor aut;
  std::map<uint64_t, test::client_log> logs;

  fixture() {
    test::write_tiny_model(dir.file("tiny.gguf"));
    supervisor_args args;
    args.config.models.folder = dir.file("");
    args.config.models.default_model = "tiny";
    args.config.engine.backend = "reference";
    args.config.engine.context = 256;
    args.config.engine.kv_bytes = 1 << 20;
    args.make_backend = [this](const loaded_model& m,
                               const engine_plan& plan) -> result<std::unique_ptr<backend>> {
      LLMOS_TRY(auto inner, make_backend(plan.backend, m.weights, plan.device));
      return std::unique_ptr<backend>{new rationed_backend{std::move(inner), &steps}};
    };
    aut = sys.spawn(supervisor, std::move(args));
  }
  ~fixture() {
    steps.give(unlimited);
    ask<caf::ok_atom>(atom::stop_v);
  }

  template <class T, class... Ts>
  T ask(const Ts&... what) {
    T out{};
    self->request(aut, 60s, what...)
        .receive([&](T& x) { out = std::move(x); },
                 [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    return out;
  }
  /// As a process is told of it.
  ledger_actor ledger() {
    caf::scoped_actor probe{sys};
    const auto me =
        caf::actor_cast<process_actor>(caf::actor_cast<caf::strong_actor_ptr>(probe.ptr()));
    probe->send(aut, atom::started_v, process_handle{{}, me});
    ledger_actor out;
    probe->receive([&](atom::wire, const core_wiring& now) { out = now.ledger; },
                   caf::after(60s) >> [&] { FAIL("no answer"); });
    return out;
  }

  void submit() {
    const auto kernel = ask<kernel_actor>(atom::kernel_v);
    const auto me =
        caf::actor_cast<client_actor>(caf::actor_cast<caf::strong_actor_ptr>(self.ptr()));
    for (uint64_t i = 0; i < num_streams; ++i) {
      auto r = std::make_shared<generate_request>();
      r->prompt = "stream " + std::to_string(i);
      r->sampling.max_tokens = num_tokens;
      r->sampling.seed = i;
      r->sampling.ignore_eos = true;
      r->sampling.logprobs = true;
      self->request(kernel, 60s, atom::submit_v, request_ptr{r}, me)
          .receive([&](request_id id) { logs[id.value]; },
                   [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    }
  }

  /// Listens until every stream has `n` tokens (all and its end, if it has no more).
  void listen_until(size_t n) {
    const auto is_there = [&](const auto& x) {
      return n < num_tokens ? x.second.tokens.size() >= n : x.second.num_terminal() > 0;
    };
    self->receive_while([&] { return !std::all_of(logs.begin(), logs.end(), is_there); })(
        [&](atom::chunk, const text_chunk& c) {
          auto& log = logs[c.id.value];
          log.text += c.text;
          log.tokens.insert(log.tokens.end(), c.tokens.begin(), c.tokens.end());
        },
        [&](atom::done, const generation_done& d) { logs[d.id.value].dones.push_back(d); },
        [&](atom::failed, request_id id, const failure& f) {
          logs[id.value].failures.push_back(f);
        },
        caf::after(120s) >> [&] { FAIL("no answer"); });
  }

  void kill_ledger() {
    const auto old = ledger();
    self->send_exit(old, caf::exit_reason::kill);
    while (ledger() == old) {
    }
  }
  void kill_kernel() {
    const auto old = ask<kernel_actor>(atom::kernel_v);
    self->send_exit(old, caf::exit_reason::kill);
    while (ask<kernel_actor>(atom::kernel_v) == old) {
    }
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.supervisor.threads");

TEST_CASE_FIXTURE(fixture,
                  "ledger and kernel fall in mid-stream: every token comes once, in order") {
  steps.give(unlimited);
  submit();
  listen_until(num_tokens);
  const auto want = std::exchange(logs, {});
  steps.withdraw();

  submit();
  steps.give(30);
  listen_until(10);
  kill_ledger();
  steps.give(30);
  listen_until(40);
  kill_kernel();
  kill_ledger();
  steps.give(unlimited);
  listen_until(num_tokens);
  const auto got = std::exchange(logs, {});
  REQUIRE(got.size() == want.size());
  for (auto a = want.begin(), b = got.begin(); a != want.end(); ++a, ++b) {
    CHECK(a->second.tokens.size() == num_tokens);
    CHECK(a->second.tokens == b->second.tokens);
    CHECK(a->second.text == b->second.text);
    REQUIRE(b->second.num_terminal() == 1);
    CHECK(b->second.dones.size() == 1);
  }
}

TEST_SUITE_END();
