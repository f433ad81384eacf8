#include "actors/kernel/kernel.hpp"

#include "actors/ledger/ledger.hpp"
#include "actors/monitor/monitor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/fake_process.hpp"

using namespace llmos;

namespace {

struct nothing {
  nothing() = default;
  static inline constexpr const char* name = "fake";
};

/// Lets every process wait for its model for ever.
models_actor::behavior_type fake_models(models_actor::stateful_pointer<nothing> self) {
  return {
      [](atom::wire, const engine_host_actor&) {},
      [](atom::started, const engine_handles&) {},
      [](atom::failed, const engine_id&, const failure&) {},
      [=](atom::load, const std::string&) { return self->make_response_promise<engine_handles>(); },
      [=](atom::place, const std::string&) {
        return self->make_response_promise<engine_handles>();
      },
      [](atom::unload, const std::string&) { return caf::ok_atom_v; },
      [](atom::list) { return model_list{}; },
      [](atom::update, const config_ptr&) {},
      [](atom::status) { return std::string{}; },
  };
}

process_host_actor::behavior_type fake_host(process_host_actor::stateful_pointer<nothing>,
                                            std::vector<process_handle>* started) {
  return {[started](atom::started, const process_handle& x) { started->push_back(x); }};
}

/// A kernel that follows another one: two processes of its predecessor live.
struct fixture : test::deterministic_system {
  test::process_log heard[2];
  test::client_log client_heard;
  client_actor client = sys.spawn(test::fake_client, &client_heard);
  std::vector<process_handle> started;
  core_wiring rooms{sys.spawn(fake_models), sys.spawn(ledger), sys.spawn(monitor)};
  process_host_actor host = sys.spawn(fake_host, &started);
  std::vector<process_handle> old{{{11}, sys.spawn(test::fake_process, &heard[0])},
                                  {{12}, sys.spawn(test::fake_process, &heard[1])}};
  kernel_actor aut;

  fixture() {
    node_config config;
    config.kernel.max_processes = 3;
    aut = sys.spawn(kernel, config, 1u, old);
    self->send(aut, atom::wire_v, kernel_wiring{rooms, host, {}});
    run();
  }
  ~fixture() {
    for (const auto& a :
         {caf::actor_cast<caf::actor>(aut), caf::actor_cast<caf::actor>(rooms.models),
          caf::actor_cast<caf::actor>(rooms.ledger), caf::actor_cast<caf::actor>(rooms.monitor),
          caf::actor_cast<caf::actor>(host), caf::actor_cast<caf::actor>(client),
          caf::actor_cast<caf::actor>(old[0].process),
          caf::actor_cast<caf::actor>(old[1].process)}) {
      self->send_exit(a, caf::exit_reason::user_shutdown);
    }
    for (const auto& x : started) self->send_exit(x.process, caf::exit_reason::user_shutdown);
    run();
  }

  void end(const process_actor& p) {
    self->send_exit(p, caf::exit_reason::user_shutdown);
    run();
  }
  request_id submit() { return request<request_id>(aut, atom::submit_v, make_request(), client); }
  failure refusal() {
    return request_error<request_id>(aut, atom::submit_v, make_request(), client);
  }
  static request_ptr make_request() {
    auto r = std::make_shared<generate_request>();
    r->prompt = "x";
    return r;
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.kernel");

TEST_CASE_FIXTURE(fixture, "the processes of the kernel before count against the limit") {
  submit();
  const auto why = refusal();
  CHECK(why.code == ec::overloaded);
  CHECK(why.text == "3 requests are live, kernel.max_processes allows no more");
  end(old[1].process);
  submit();
  CHECK(refusal().code == ec::overloaded);
}

TEST_CASE_FIXTURE(fixture, "refusals are counted by their reason") {
  submit();
  refusal();
  refusal();
  const auto text = render_text(*request<metrics_ptr>(aut, atom::stats_v));
  CHECK(text.find("llmos_requests_refused_total{reason=\"overloaded\"}      2") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a process that ended while no kernel was there does not count") {
  end(old[0].process);
  self->send_exit(aut, caf::exit_reason::kill);
  node_config config;
  config.kernel.max_processes = 2;
  aut = sys.spawn(kernel, config, 2u, old);
  self->send(aut, atom::wire_v, kernel_wiring{rooms, host, {}});
  run();
  submit();
  CHECK(refusal().code == ec::overloaded);
}

TEST_CASE_FIXTURE(fixture, "a process is announced to the one who tells the next kernel of it") {
  const auto id = submit();
  REQUIRE(started.size() == 1);
  CHECK(started[0].id == id);
  const auto ps = request<process_list>(aut, atom::ps_v);
  REQUIRE(ps.size() == 1);
  CHECK(ps[0].id == id);
}

TEST_CASE_FIXTURE(fixture, "a submit that a falling kernel has not read is refused, not lost") {
  self->send_exit(aut, caf::exit_reason::kill);
  refusal();
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(fixture, "a cancel finds the processes of the kernel before") {
  request<caf::ok_atom>(aut, atom::cancel_v, request_id{12});
  CHECK(heard[0].cancels == 0);
  CHECK(heard[1].cancels == 1);
  end(old[1].process);
  CHECK(request_error<caf::ok_atom>(aut, atom::cancel_v, request_id{12}).code == ec::not_found);
}

TEST_CASE_FIXTURE(fixture, "a drain refuses new work and ends with the last process") {
  bool cancel_them = false;
  SUBCASE("waiting") {}
  SUBCASE("cancelling") {
    cancel_them = true;
  }
  auto r = self->request(aut, caf::infinite, atom::drain_v, cancel_them);
  bool answered = false;
  run();
  CHECK(heard[0].cancels + heard[1].cancels == (cancel_them ? 2 : 0));
  CHECK(refusal().code == ec::shutting_down);
  end(old[0].process);
  CHECK(request<std::string>(aut, atom::status_v).find("live=1") == 0);
  end(old[1].process);
  r.receive([&](caf::ok_atom) { answered = true; }, [&](caf::error& e) { FAIL(sys.render(e)); });
  CHECK(answered);
  request<caf::ok_atom>(aut, atom::drain_v, cancel_them);
}

TEST_CASE_FIXTURE(fixture, "ids differ from those of the kernels before") {
  CHECK(submit().value == (uint64_t{1} << 40) + 1);
}

TEST_SUITE_END();
