#include <algorithm>
#include <map>

#include "tests/support/fake_process.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/whole_node.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

struct crash {
  const char* name;
  bool ledger, kernel;
  int again_after = -1;  ///< Messages until the same fall once more; -1: they do not.
  bool device = false;   ///< The next step fails as well.
};

constexpr crash crashes[] = {{"ledger", true, false},
                             {"kernel", false, true},
                             {"both", true, true},
                             {"ledger twice", true, false, 3},
                             {"ledger later", true, false, 23},
                             {"both twice", true, true, 9},
                             {"engine", false, false, 5, true},
                             {"engine and ledger", true, false, 11, true}};

struct fixture : test::whole_node {
  std::vector<test::client_log> want;

  /// What an undisturbed node gives the three requests.
  void run_undisturbed() {
    ask_three(kernel(), 12);
    settle();
    for (const auto& e : exchanges) want.push_back(e->log);
    REQUIRE(want[2].tokens.size() == 12);
    forget();
  }

  void ask_three(const kernel_actor& whom, uint32_t max_tokens) {
    for (uint64_t seed = 1; seed <= 3; ++seed) ask(whom, max_tokens, seed);
  }

  /// Three long answers, the first of which has begun.
  void begin_three() {
    ask_three(kernel(), 150);
    while (exchanges[0]->log.tokens.size() < 5 || exchanges[2]->ids.empty()) REQUIRE(step());
  }
  size_t num_ended() const {
    return static_cast<size_t>(std::count_if(exchanges.begin(), exchanges.end(), [](const auto& e) {
      return e->log.num_terminal() > 0;
    }));
  }

  void fall(const crash& c, const kernel_actor& k, const ledger_actor& l) {
    if (c.ledger) kill(l);
    if (c.kernel) kill(k);
    if (c.device) device.fail_next = true;
  }
  /// The kernel that is there after the crash.
  kernel_actor fall(const crash& c) {
    const auto before = kernel();
    fall(c, before, rooms().ledger);
    return c.kernel ? kernel_after(before) : before;
  }

  /// Lets three requests run, with a crash after `moment` messages. False: they ended before.
  bool run_three(const crash& c, size_t moment) {
    const auto k = kernel();
    const auto ledger = rooms().ledger;
    settle();
    ask_three(k, 12);
    const bool running = step(moment);
    fall(c, k, ledger);
    if (c.again_after >= 0) {
      step(static_cast<size_t>(c.again_after));
      fall(c, kernel(), rooms().ledger);
    }
    settle();
    return running;
  }

  /// Each request got its whole stream and one end, or a refusal and nothing else.
  void check_three(bool may_refuse) {
    for (size_t i = 0; i < 3; ++i) {
      CAPTURE(i);
      const auto& got = *exchanges[i];
      REQUIRE(got.ids.size() + got.refusals.size() == 1);
      CHECK(got.log.failures.empty());
      if (got.refusals.empty()) {
        CHECK(got.log.tokens == want[i].tokens);
        CHECK(got.log.text == want[i].text);
        CHECK(got.log.dones.size() == 1);
      } else {
        CHECK(may_refuse);
        CHECK(got.log.tokens.empty());
        CHECK(got.log.dones.empty());
      }
    }
    CHECK(peek<process_list>(kernel(), atom::ps_v).value().empty());
    CHECK(peek<std::string>(kernel(), atom::status_v).value().find("live=0 ") == 0);
  }

  /// Clears up after a round; were it shorter, there would be too many crashes in ten seconds.
  void next_round() {
    forget();
    device.fail_next = false;
    sched.clock().advance_time(11s);
    settle();
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.supervisor.restart");

TEST_CASE_FIXTURE(fixture, "streams are the same whatever falls between any two messages") {
  run_undisturbed();
  for (const auto& c : crashes) {
    CAPTURE(c.name);
    size_t moment = 0;
    for (bool running = true; running; ++moment) {
      CAPTURE(moment);
      running = run_three(c, moment);
      check_three(c.kernel);
      next_round();
    }
    CHECK(moment > 100);
  }
}

TEST_CASE_FIXTURE(fixture, "streams are the same in whatever order the rooms come to work") {
  run_undisturbed();
  const auto rounds = static_cast<uint32_t>(test::scaled(10000));
  for (uint32_t seed = 0; seed < rounds; ++seed) {
    CAPTURE(seed);
    order.emplace(seed);
    const auto& c = crashes[seed % std::size(crashes)];
    run_three(c, (*order)() % 250);
    check_three(c.kernel);
    next_round();
  }
}

TEST_CASE_FIXTURE(fixture, "a new kernel keeps to the limit of processes") {
  begin_three();
  const crash* c = &crashes[1];
  SUBCASE("kernel") {}
  SUBCASE("both") {
    c = &crashes[2];
  }
  const auto next = fall(*c);
  const auto& fourth = ask(next, 1, 4);
  while (fourth.refusals.empty() && fourth.ids.empty()) REQUIRE(step());
  CHECK(num_ended() == 0);
  REQUIRE(fourth.refusals.size() == 1);
  CHECK(fourth.refusals[0].code == ec::overloaded);
  settle();
  const auto& fifth = ask(next, 1, 5);
  settle();
  CHECK(fifth.log.dones.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "whatever fell, the processes are listed as they are") {
  for (const auto& c : crashes) {
    CAPTURE(c.name);
    begin_three();
    const auto next = fall(c);
    std::optional<process_list> listed;
    while (!listed || listed->size() < 3) {
      REQUIRE(num_ended() == 0);
      listed = peek<process_list>(next, atom::ps_v);
    }
    for (size_t i = 0; i < 3; ++i) {
      CHECK(listed->at(i).id == exchanges[i]->ids.at(0));
      CHECK(listed->at(i).prompt_tokens == 15);
      CHECK(listed->at(i).generated_tokens >= exchanges[i]->log.tokens.size());
    }
    CHECK(listed->at(2).state != "running");
    settle();
    CHECK(num_ended() == 3);
    next_round();
  }
}

TEST_CASE_FIXTURE(fixture, "the monitor counts what was started again") {
  begin_three();
  const auto next = fall(crashes[1]);
  settle();
  const auto text = render_text(*request<metrics_ptr>(next, atom::stats_v));
  CHECK(text.find("llmos_restarts_total{room=\"kernel\"}") != std::string::npos);
  CHECK(text.find("llmos_restarts_total{room=\"ledger\"}") == std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "whatever fell, a cancel ends the stream and the engine's work on it") {
  for (const auto& c : crashes) {
    CAPTURE(c.name);
    begin_three();
    const auto next = fall(c);
    const auto before = device.steps;
    for (const auto& e : exchanges) {
      CHECK(peek<caf::ok_atom>(next, atom::cancel_v, e->ids.at(0)).has_value());
    }
    settle();
    for (const auto& e : exchanges) {
      REQUIRE(e->log.dones.size() == 1);
      CHECK(e->log.dones[0].reason == finish_reason::cancelled);
      CHECK(e->log.failures.empty());
    }
    CHECK(device.steps - before < 40);
    next_round();
  }
}

TEST_CASE_FIXTURE(fixture, "a drain waits for every stream although the room that it asked fell") {
  const crash* c = nullptr;
  SUBCASE("ledger") {
    c = &crashes[0];
  }
  SUBCASE("kernel") {
    c = &crashes[1];
  }
  SUBCASE("both") {
    c = &crashes[2];
  }
  begin_three();
  size_t ended_at_answer = 0;
  send_request<caf::ok_atom>(
      aut, [&](std::optional<caf::ok_atom> x) { ended_at_answer = x ? num_ended() : 99; },
      atom::drain_v, false);
  step(5);
  const auto next = fall(*c);
  const auto& late = ask(next, 1, 4);
  settle();
  CHECK(ended_at_answer == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(exchanges[i]->log.tokens.size() == 150);
  REQUIRE(late.refusals.size() == 1);
  CHECK(late.refusals[0].code == ec::shutting_down);
}

TEST_CASE_FIXTURE(fixture, "a room that falls too often stops the node and ends every stream") {
  const crash* c = nullptr;
  SUBCASE("ledger") {
    c = &crashes[0];
  }
  SUBCASE("kernel") {
    c = &crashes[1];
  }
  begin_three();
  for (int i = 0; i < 5; ++i) {
    const auto before = rooms().ledger;
    fall(*c);
    while (c->ledger && rooms().ledger == before) {
    }
  }
  REQUIRE(num_ended() == 0);
  fall(*c, kernel(), rooms().ledger);
  settle();
  for (const auto& e : exchanges) {
    REQUIRE(e->log.num_terminal() == 1);
    REQUIRE(e->log.failures.size() == 1);
    CHECK(e->log.failures[0].code == ec::shutting_down);
    CHECK(e->log.failures[0].text ==
          std::string{"the node stops: its room "} + c->name + " failed too often");
  }
  forget();
  CHECK(sys.registry().running() == others);
}

TEST_CASE_FIXTURE(fixture, "a stop ends every process, also one that it hears of too late") {
  test::process_log early_log, late_log;
  const auto early = sys.spawn(test::fake_process, &early_log);
  const auto late = sys.spawn(test::fake_process, &late_log);
  self->send(aut, atom::started_v, process_handle{{1}, early});
  settle();
  CHECK(early_log.failures.empty());
  self->send(aut, atom::stop_v);
  self->send(aut, atom::started_v, process_handle{{2}, late});
  settle();
  for (const auto* log : {&early_log, &late_log}) {
    REQUIRE(log->failures.size() == 1);
    CHECK(log->failures[0].code == ec::shutting_down);
  }
  kill(early);
  kill(late);
}

TEST_SUITE_END();
