#include "actors/engine/scheduler/scheduler.hpp"

#include "actors/engine/memory/memory.hpp"
#include "actors/monitor/monitor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/engine_sim.hpp"

using namespace llmos;
using test::engine_sim;

namespace {

struct nothing {
  nothing() = default;
  static inline constexpr const char* name = "fake";
};

struct seen {
  std::vector<step_plan> plans;
  std::vector<token_event> tokens;
  std::vector<step_report> reports;
  std::vector<load_report> loads;
  bool answer = true;
  bool fail = false;
  bool repeats = false;  ///< The text does, and every guess comes true.
};

step_result run_fake(const step_plan& p, bool fail, bool repeats = false) {
  step_result r;
  r.step = p.step;
  if (fail) r.error = {ec::engine_failed, "device gone", ""};
  for (const auto& e : p.entries) {
    if (!e.sample) continue;
    for (auto t : e.drafts) r.tokens.push_back({e.id, {t, 0, {}}});
    const auto n = repeats ? p.step % 2 : p.step;
    r.tokens.push_back({e.id, {static_cast<token_id>(100 + n), 0, {}}});
  }
  return r;
}

executor_actor::behavior_type fake_executor(executor_actor::stateful_pointer<nothing> self,
                                            seen* out, std::shared_ptr<step_listener_actor> who) {
  return {
      [](atom::load) {
        return device_report{"fake", false, {}};
      },
      [who](atom::wire, const step_listener_actor& l) { *who = l; },
      [=](atom::step, const step_plan_ptr& p) {
        out->plans.push_back(*p);
        if (!out->answer) return;
        self->send(*who, atom::done_v,
                   std::make_shared<const step_result>(run_fake(*p, out->fail, out->repeats)));
      },
      [](atom::status) { return std::string{}; },
  };
}

token_sink_actor::behavior_type fake_sink(token_sink_actor::stateful_pointer<nothing>, seen* out) {
  return {[out](atom::token, const token_batch_ptr& b) {
    out->tokens.insert(out->tokens.end(), b->begin(), b->end());
  }};
}

step_observer_actor::behavior_type fake_monitor(step_observer_actor::stateful_pointer<nothing>,
                                                seen* out) {
  return {
      [out](atom::step, const step_report& r) { out->reports.push_back(r); },
      [out](atom::update, const load_report& r) { out->loads.push_back(r); },
  };
}

struct fixture : test::deterministic_system {
  seen got;
  scheduler_limits limits{.max_step_tokens = 8,
                          .max_prefill_chunk = 8,
                          .max_running = 4,
                          .max_waiting = 8,
                          .max_context = 32,
                          .num_blocks = 16,
                          .block_tokens = 4,
                          .max_step_drafts = 8};
  std::shared_ptr<step_listener_actor> listener = std::make_shared<step_listener_actor>();
  executor_actor executor = sys.spawn(fake_executor, &got, listener);
  token_sink_actor sink = sys.spawn(fake_sink, &got);
  step_observer_actor monitor = sys.spawn(fake_monitor, &got);
  memory_observer_actor memory_monitor = sys.spawn(llmos::monitor);
  memory_actor memory = sys.spawn(memory_manager, memory_args{{"tiny", "cpu"}, 16, 4, "salt"});
  scheduler_actor aut = sys.spawn(scheduler, engine_label{"tiny", "cpu"}, limits);

  fixture() {
    self->send(memory, atom::wire_v, memory_wiring{aut, memory_monitor});
    self->send(executor, atom::wire_v, step_listener_actor{aut});
    self->send(aut, atom::wire_v, scheduler_wiring{memory, executor, sink, monitor});
    run();
  }
  ~fixture() {
    *listener = nullptr;
    for (const auto& a :
         {caf::actor_cast<caf::actor>(aut), caf::actor_cast<caf::actor>(memory),
          caf::actor_cast<caf::actor>(executor), caf::actor_cast<caf::actor>(sink),
          caf::actor_cast<caf::actor>(monitor), caf::actor_cast<caf::actor>(memory_monitor)}) {
      self->send_exit(a, caf::exit_reason::user_shutdown);
    }
    run();
  }
  uint32_t blocks_used() { return request<kv_stats>(memory, atom::stats_v).num_used; }
};

}  // namespace

TEST_SUITE_BEGIN("actors.engine.scheduler");

TEST_CASE_FIXTURE(fixture, "a request runs to its end and gives every block back") {
  request<caf::ok_atom>(aut, atom::enqueue_v, engine_sim::spec(1, {1, 2, 3, 4, 5}, 6));
  REQUIRE(got.tokens.size() == 6);
  CHECK(got.tokens[0].index == 0);
  CHECK(got.tokens[5].stop == stop_reason::length);
  CHECK(got.plans.size() == 6);
  CHECK(got.reports.size() == 6);
  CHECK(blocks_used() == 0);
}

TEST_CASE_FIXTURE(fixture, "guesses that come true arrive in order and are reported") {
  got.repeats = true;
  request<caf::ok_atom>(aut, atom::enqueue_v, engine_sim::spec(1, {1, 2, 3, 4, 5}, 20));
  REQUIRE(got.tokens.size() == 20);
  for (uint32_t i = 0; i < 20; ++i) CHECK(got.tokens[i].index == i);
  CHECK(got.tokens[19].stop == stop_reason::length);
  const auto& stats = got.reports.back().schedule;
  CHECK(stats.accepted_tokens > 0);
  CHECK(stats.accepted_tokens == stats.draft_tokens);
  CHECK(got.plans.size() == 20 - stats.accepted_tokens);
  CHECK(blocks_used() == 0);
}

TEST_CASE_FIXTURE(fixture, "the reason of a refusal reaches the asker") {
  const auto why = request_error<caf::ok_atom>(
      aut, atom::enqueue_v, engine_sim::spec(1, std::vector<token_id>(30, 7), 6));
  CHECK(why.code == ec::over_context);
  CHECK(why.text == "30 prompt tokens + 6 max_tokens exceed the context of 32");
}

TEST_CASE_FIXTURE(fixture, "a cancel during a step frees the blocks when the step ends") {
  got.answer = false;
  request<caf::ok_atom>(aut, atom::enqueue_v, engine_sim::spec(1, {1, 2, 3, 4, 5}, 6));
  REQUIRE(got.plans.size() == 1);
  self->send(aut, atom::cancel_v, request_id{1});
  run();
  CHECK(blocks_used() == 2);
  self->send(aut, atom::done_v, std::make_shared<const step_result>(run_fake(got.plans[0], false)));
  run();
  CHECK(blocks_used() == 0);
  CHECK(got.tokens.empty());
  CHECK(got.plans.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "what comes and goes between two steps is reported") {
  self->send(aut, atom::enqueue_v, engine_sim::spec(1, {1, 2, 3, 4, 5}, 6));
  self->send(aut, atom::cancel_v, request_id{1});  // while its blocks are being reserved
  run();
  CHECK(got.plans.empty());
  CHECK(blocks_used() == 0);
  REQUIRE(got.loads.size() == 2);
  CHECK(got.loads[0].waiting == 1);
  CHECK(got.loads[1].waiting == 0);
  CHECK(got.loads[1].running == 0);
}

TEST_CASE_FIXTURE(fixture, "a failed device ends the room with the device's reason") {
  got.fail = true;
  self->monitor(aut);
  request<caf::ok_atom>(aut, atom::enqueue_v, engine_sim::spec(1, {1, 2, 3}, 6));
  self->receive([&](const caf::down_msg& d) { CHECK(to_failure(d.reason).text == "device gone"); });
}

TEST_SUITE_END();
