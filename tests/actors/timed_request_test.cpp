#include "actors/timed_request.hpp"

#include <caf/event_based_actor.hpp>

#include "tests/support/whole_node.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Answers every question when it is told to.
caf::behavior slow(caf::stateful_actor<std::vector<caf::response_promise>>* self) {
  return {[self](int) {
            self->state.push_back(self->make_response_promise());
            return self->state.back();
          },
          [self](bool is_fine) {
            for (auto& p : self->state) {
              is_fine ? p.deliver(1) : p.deliver(caf::make_error(caf::sec::bad_function_call));
            }
          }};
}

struct fixture : test::deterministic_system {
  caf::actor asked = sys.spawn(slow);
  caf::actor asker;
  std::string heard;

  ~fixture() {
    self->send_exit(asker, caf::exit_reason::user_shutdown);
    self->send_exit(asked, caf::exit_reason::user_shutdown);
  }
  void ask() {
    asker = sys.spawn([this](caf::event_based_actor* me) -> caf::behavior {
      timed_request(me, asked, 10s, 0)
          .then([this](int) { heard += "answer "; },
                [this](const caf::error& e) {
                  heard += e == caf::sec::request_timeout ? "timeout " : "error ";
                });
      return {[](int) {}};
    });
    run();
  }
  size_t num_timeouts() { return sched.clock().actor_lookup().size(); }
};

}  // namespace

TEST_SUITE_BEGIN("actors.timed_request");

TEST_CASE_FIXTURE(fixture, "a timeout goes with the answer, or with the error") {
  for (const bool is_fine : {true, false}) {
    heard.clear();
    ask();
    CHECK(num_timeouts() == 1);
    self->send(asked, is_fine);
    run();
    CHECK(heard == (is_fine ? "answer " : "error "));
    CHECK(num_timeouts() == 0);
    self->send_exit(asker, caf::exit_reason::user_shutdown);
    self->send_exit(asked, caf::exit_reason::user_shutdown);
    asked = sys.spawn(slow);
    run();
  }
}

TEST_CASE_FIXTURE(fixture, "who gets no answer hears of it in time") {
  ask();
  advance(9s);
  CHECK(heard == "");
  advance(2s);
  CHECK(heard == "timeout ");
  CHECK(num_timeouts() == 0);
  self->send(asked, true);
  run();
  CHECK(heard == "timeout ");
}

TEST_CASE_FIXTURE(test::whole_node, "a node that has nothing to do owes no timeout") {
  ask(kernel(), 5, 1);
  ask(kernel(), 7, 2);
  settle();
  CHECK(exchanges[0]->log.tokens.size() == 5);
  forget();
  CHECK(sched.clock().actor_lookup().empty());
}

TEST_SUITE_END();
