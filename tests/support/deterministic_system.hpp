#pragma once

#include <doctest/doctest.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <utility>

#include "actors/error.hpp"

namespace llmos::test {

/// An actor system without threads: nothing happens until `run()` is called, so a test sees the
/// same order every time. Never spawn `detached` here.
struct deterministic_system {
  struct config : caf::actor_system_config {
    config() {
      set("scheduler.policy", caf::atom("testing"));
      register_messages(*this);
    }
  };

  config cfg;
  caf::actor_system sys{cfg};
  caf::scoped_actor self{sys, true};
  caf::scheduler::test_coordinator& sched =
      dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());

  /// Delivers messages until none is left; fires no timeout (`sched.run()` would).
  void run() {
    while (sched.try_run_once()) {
    }
  }

  /// Moves the clock, firing what falls due, then delivers.
  void advance(caf::timespan t) {
    sched.clock().advance_time(t);
    run();
  }

  template <class T, class Handle, class... Ts>
  T request(const Handle& dest, Ts&&... xs) {
    auto r = self->request(dest, caf::infinite, std::forward<Ts>(xs)...);
    run();
    T out{};
    r.receive([&](T& x) { out = std::move(x); }, [&](caf::error& e) { FAIL(sys.render(e)); });
    return out;
  }

  template <class Out, class Handle, class... Ts>
  failure request_error(const Handle& dest, Ts&&... xs) {
    auto r = self->request(dest, caf::infinite, std::forward<Ts>(xs)...);
    run();
    failure out;
    r.receive([&](Out&) { FAIL("expected an error"); },
              [&](caf::error& e) { out = to_failure(e); });
    return out;
  }

  ~deterministic_system() { run(); }
};

}  // namespace llmos::test
