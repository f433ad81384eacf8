#include "actors/gateway/batch/batch.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "tests/support/deterministic_system.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

struct nothing {
  nothing() = default;
  static inline constexpr const char* name = "fake";
};

/// A kernel that only takes notes: the test says what becomes of each request.
struct fake_node {
  std::map<request_id, std::pair<request_ptr, client_actor>> open;
  std::vector<request_id> cancelled;
  failure refusal;
  size_t most_open = 0;
  uint64_t next_id = 1;
};

kernel_actor::behavior_type fake_kernel(kernel_actor::stateful_pointer<nothing>, fake_node* n) {
  return {
      [](atom::wire, const kernel_wiring&) {},
      [n](atom::submit, const request_ptr& r, const client_actor& c) -> caf::result<request_id> {
        if (n->refusal.code != ec::none) return to_error(n->refusal);
        const request_id id{n->next_id++};
        n->open[id] = {r, c};
        n->most_open = std::max(n->most_open, n->open.size());
        return id;
      },
      [n](atom::cancel, request_id id) -> caf::result<caf::ok_atom> {
        n->cancelled.push_back(id);
        return caf::ok_atom_v;
      },
      [](atom::ps) { return process_list{}; },
      [](atom::load, const std::string&) { return model_status{}; },
      [](atom::unload, const std::string&) { return caf::ok_atom_v; },
      [](atom::list) { return model_list{}; },
      [](atom::stats) { return metrics_ptr{}; },
      [](atom::health) { return node_health{}; },
      [](atom::watch, const log_position&, uint32_t) { return event_page{}; },
      [](atom::open, const std::string&) { return model_view{}; },
      [](atom::update, const config_ptr&) {},
      [](atom::encode, const request_ptr&) { return encoded_ptr{}; },
      [](atom::drain, bool) { return caf::ok_atom_v; },
      [](atom::status) { return std::string{}; },
  };
}

struct fake_listener : batch_listener {
  std::vector<std::string> ended;  // "1:text" or "1!code"
  std::vector<job_counts> finished;
  failure why;
  size_t num_allowed = 1000;  // lines until the disk is full

  result<void> on_ended(const ended_item& x) override {
    if (ended.size() == num_allowed) return failure{ec::io_error, "the disk is full", ""};
    ended.push_back(std::to_string(x.index) + (x.what.done ? ":" : "!") +
                    (x.what.done ? x.what.text : to_string(x.what.error.code)));
    return {};
  }
  void on_progress(const job_counts&) override {}
  void on_finished(const job_counts& counts, const failure& w) override {
    finished.push_back(counts);
    why = w;
  }
};

struct fixture : test::deterministic_system {
  fake_node node;
  kernel_actor kernel = sys.spawn(fake_kernel, &node);
  std::shared_ptr<fake_listener> heard = std::make_shared<fake_listener>();
  batch_actor aut;

  void start(size_t num_items, uint32_t concurrency, std::vector<bool> is_done = {}) {
    auto job = std::make_shared<batch_job>();
    job->concurrency = concurrency;
    for (size_t i = 0; i < num_items; ++i) {
      job->items.push_back({std::to_string(i), {}, {}});
      job->items.back().request.prompt = "prompt " + std::to_string(i);
    }
    aut = sys.spawn(batch, batch_args{[this] { return kernel; }, job, std::move(is_done), heard});
    run();
  }

  void chunk(uint64_t id, const std::string& text) {
    self->send(node.open.at({id}).second, atom::chunk_v, text_chunk{{id}, text, {}});
    run();
  }
  void done(uint64_t id, finish_reason reason = finish_reason::stop) {
    const auto client = node.open.at({id}).second;
    node.open.erase({id});
    self->send(client, atom::done_v, generation_done{{id}, reason, false, "", "m", 1, {}});
    run();
  }
  void fail(uint64_t id, ec code) {
    const auto client = node.open.at({id}).second;
    node.open.erase({id});
    self->send(client, atom::failed_v, request_id{id}, failure{code, "x", ""});
    run();
  }
  bool is_over() const { return !heard->finished.empty(); }

  ~fixture() {
    node.open.clear();  // the handles in it keep the gateway alive
    self->send_exit(aut, caf::exit_reason::user_shutdown);
    self->send_exit(kernel, caf::exit_reason::user_shutdown);
    run();
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.batch");

TEST_CASE_FIXTURE(fixture, "as many requests as allowed are open and each item ends once") {
  start(3, 2);
  REQUIRE(node.open.size() == 2);
  CHECK(node.open.at({1}).first->prompt == "prompt 0");
  chunk(2, "b");
  chunk(1, "a");
  chunk(2, "c");
  done(2);
  CHECK(heard->ended == std::vector<std::string>{"1:bc"});
  CHECK(node.open.size() == 2);
  fail(1, ec::over_context);
  done(3, finish_reason::length);
  CHECK(heard->ended == std::vector<std::string>{"1:bc", "0!over_context", "2:"});
  REQUIRE(is_over());
  CHECK(heard->finished[0].done == 2);
  CHECK(heard->finished[0].failed == 1);
  CHECK(heard->why.code == ec::none);
  CHECK(node.most_open == 2);
}

TEST_CASE_FIXTURE(fixture, "a refused item fails with the kernel's reason") {
  node.refusal = {ec::invalid_argument, "temperature is -1", ""};
  start(2, 1);
  CHECK(heard->ended == std::vector<std::string>{"0!invalid_argument", "1!invalid_argument"});
  CHECK(is_over());
}

TEST_CASE_FIXTURE(fixture, "an overloaded kernel is asked again, also when nothing of ours ends") {
  node.refusal = {ec::overloaded, "full", ""};
  start(2, 2);
  CHECK(heard->ended.empty());
  CHECK(node.open.empty());
  advance(200ms);
  CHECK(node.open.empty());
  node.refusal = {};
  advance(200ms);
  CHECK(node.open.size() == 2);
  done(1);
  done(2);
  CHECK(is_over());
}

TEST_CASE_FIXTURE(fixture, "a request that met a full queue is sent again") {
  start(2, 2);
  fail(1, ec::overloaded);
  CHECK(heard->ended.empty());
  CHECK(node.open.size() == 1);
  advance(200ms);
  CHECK(node.open.size() == 2);
  done(2);
  done(3);
  CHECK(heard->ended == std::vector<std::string>{"1:", "0:"});
  CHECK(is_over());
}

TEST_CASE_FIXTURE(fixture, "a job that drains sends nothing more and lets what runs end") {
  start(3, 2);
  self->send(aut, atom::drain_v, caf::timespan{5000ms});
  run();
  chunk(1, "whole");
  done(1);
  CHECK(node.open.size() == 1);
  CHECK(!is_over());
  done(2);
  REQUIRE(is_over());
  CHECK(node.cancelled.empty());
  CHECK(heard->ended == std::vector<std::string>{"0:whole", "1:"});
}

TEST_CASE_FIXTURE(fixture, "a job that drains too long is cancelled") {
  start(3, 2);
  self->send(aut, atom::drain_v, caf::timespan{5000ms});
  run();
  done(1);
  advance(4999ms);
  CHECK(node.cancelled.empty());
  advance(1ms);
  CHECK(node.cancelled == std::vector<request_id>{{2}});
  done(2, finish_reason::cancelled);
  REQUIRE(is_over());
  CHECK(heard->ended == std::vector<std::string>{"0:"});
}

TEST_CASE_FIXTURE(fixture, "a kernel that vanished is looked for until there is another") {
  start(3, 1);
  self->send_exit(kernel, caf::exit_reason::kill);
  run();
  kernel = nullptr;
  done(1);  // requests outlive the kernel
  CHECK(heard->ended == std::vector<std::string>{"0:"});
  CHECK(node.open.empty());
  advance(200ms);
  kernel = sys.spawn(fake_kernel, &node);
  advance(200ms);
  REQUIRE(node.open.size() == 1);
  done(2);
  done(3);
  CHECK(is_over());
  CHECK(heard->finished[0].done == 3);
}

TEST_CASE_FIXTURE(fixture, "a kernel that never comes back fails the items") {
  self->send_exit(kernel, caf::exit_reason::kill);
  run();
  kernel = nullptr;
  start(2, 1);
  for (int i = 0; i < 50 && !is_over(); ++i) advance(200ms);
  CHECK(is_over());
  CHECK(heard->ended == std::vector<std::string>{"0!internal", "1!internal"});
}

TEST_CASE_FIXTURE(fixture, "a stopped job cancels what runs and ends without the rest") {
  start(5, 2);
  done(1);
  self->send(aut, atom::cancel_v);
  run();
  CHECK(node.cancelled == std::vector<request_id>{{2}, {3}});
  CHECK(!is_over());
  done(2, finish_reason::cancelled);
  done(3);  // it was faster than the cancel
  CHECK(heard->ended == std::vector<std::string>{"0:", "2:"});
  REQUIRE(is_over());
  CHECK(heard->finished[0].done == 2);
  CHECK(heard->finished[0].failed == 0);
}

TEST_CASE_FIXTURE(fixture, "a stopped job has the kernel of now cancel what an older one began") {
  start(2, 2);
  self->send_exit(kernel, caf::exit_reason::kill);
  kernel = sys.spawn(fake_kernel, &node);
  self->send(aut, atom::cancel_v);
  run();
  CHECK(node.cancelled == std::vector<request_id>{{1}, {2}});
}

TEST_CASE_FIXTURE(fixture, "an output that cannot be written stops the job with its reason") {
  heard->num_allowed = 1;
  start(4, 2);
  done(1);
  done(2);
  CHECK(node.cancelled == std::vector<request_id>{{3}});
  done(3, finish_reason::cancelled);
  REQUIRE(is_over());
  CHECK(heard->why.text == "the disk is full");
}

TEST_CASE_FIXTURE(fixture, "items of an earlier run are not asked again") {
  start(3, 3, {true, false, true});
  REQUIRE(node.open.size() == 1);
  CHECK(node.open.at({1}).first->prompt == "prompt 1");
  CHECK(request<std::string>(aut, atom::status_v) == "total=3 done=2 failed=0 running=1");
  done(1);
  CHECK(is_over());
}

TEST_CASE_FIXTURE(fixture, "a job whose items are all done ends at once") {
  start(2, 1, {true, true});
  CHECK(is_over());
  CHECK(node.open.empty());
}

TEST_CASE_FIXTURE(fixture, "whatever the kernel does, every item ends exactly once") {
  std::mt19937 rng{9};
  for (int round = 0; round < test::scaled(1000) / 10; ++round) {
    CAPTURE(round);
    heard = std::make_shared<fake_listener>();
    const size_t n = 1 + rng() % 12;
    start(n, 1 + static_cast<uint32_t>(rng() % 5));
    while (!is_over()) {
      node.refusal = rng() % 5 == 0 ? failure{ec::overloaded, "", ""} : failure{};
      if (!node.open.empty()) {
        const auto id =
            std::next(node.open.begin(), static_cast<ptrdiff_t>(rng() % node.open.size()))
                ->first.value;
        if (rng() % 3 == 0) {
          chunk(id, "x");
        } else if (rng() % 4 == 0) {
          fail(id, ec::engine_failed);
        } else {
          done(id);
        }
      }
      advance(200ms);
    }
    auto items = heard->ended;
    CHECK(items.size() == n);
    for (auto& x : items) x.resize(x.find_first_of(":!"));
    std::sort(items.begin(), items.end());
    CHECK(std::unique(items.begin(), items.end()) == items.end());
    CHECK(heard->finished.size() == 1);
  }
}

TEST_SUITE_END();
