#include <doctest/doctest.h>

#include <caf/scoped_actor.hpp>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "actors/error.hpp"
#include "actors/node.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"
#include "tests/support/wrapped_backend.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Holds every step until it is opened, so that processes pile up.
struct gate {
  std::mutex m;
  std::condition_variable cv;
  bool open = false;

  void wait() {
    std::unique_lock lock{m};
    cv.wait(lock, [this] { return open; });
  }
  void let_go() {
    std::lock_guard lock{m};
    open = true;
    cv.notify_all();
  }
};

class gated_backend : public test::wrapped_backend {
public:
  gated_backend(std::unique_ptr<backend> inner, gate* g)
      : wrapped_backend(std::move(inner)), gate_(g) {}
  result<std::span<const float>> forward(const step_batch& b) override {
    gate_->wait();
    return inner_->forward(b);
  }

private:
  gate* gate_;
};

size_t num_threads() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& t : std::filesystem::directory_iterator{"/proc/self/task"}) ++n;
  return n;
}

/// Threads of this program while `live` processes are there.
size_t threads_with(size_t live) {
  test::temp_dir dir;
  test::write_tiny_model(dir.file("tiny.gguf"));
  node_config config;
  config.models.folder = dir.file("");
  config.models.default_model = "tiny";
  config.engine.backend = "reference";
  config.engine.context = 64;
  config.engine.kv_bytes = 1 << 20;
  gate g;
  node_hooks hooks;
  hooks.make_backend = [&](const loaded_model& m,
                           const engine_plan& plan) -> result<std::unique_ptr<backend>> {
    LLMOS_TRY(auto inner, make_backend(plan.backend, m.weights, plan.device));
    return std::unique_ptr<backend>{new gated_backend{std::move(inner), &g}};
  };
  auto n = node::start(config, hooks).value();
  caf::scoped_actor self{n->system()};
  const auto me = caf::actor_cast<client_actor>(caf::actor_cast<caf::strong_actor_ptr>(self.ptr()));
  const auto kernel = n->kernel();
  auto r = std::make_shared<generate_request>();
  r->prompt = "x";
  r->sampling.max_tokens = 2;
  for (size_t i = 0; i < live; ++i) {
    self->request(kernel, 60s, atom::submit_v, request_ptr{r}, me)
        .receive([](request_id) {}, [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  }
  size_t listed = 0, waiting = 0;
  while (waiting < live) {  // until all stand in the scheduler's queue
    self->request(kernel, 60s, atom::ps_v)
        .receive(
            [&](const process_list& all) {
              listed = all.size();
              waiting = 0;
              for (const auto& p : all) waiting += p.state == "waiting";
            },
            [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
  }
  CHECK(listed == live);
  // The model loader's own thread may still be on its way out: the least of many looks counts.
  auto threads = num_threads();
  for (int look = 0; look < 200; ++look) {
    self->request(kernel, 60s, atom::status_v)
        .receive([](const std::string&) {}, [&](caf::error& e) { FAIL(to_string(to_failure(e))); });
    threads = std::min(threads, num_threads());
  }
  g.let_go();
  n->stop(node::stop_mode::cancel);
  return threads;
}

}  // namespace

TEST_SUITE("actors.threads") {
  TEST_CASE("processes are mailboxes: 1, 100 and 10,000 of them need the same threads") {
    const auto one = threads_with(1);
    CHECK(threads_with(100) == one);
    CHECK(threads_with(static_cast<size_t>(test::scaled(10000))) == one);
  }
}
