#include "actors/ledger/ledger.hpp"

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_client.hpp"

using namespace llmos;

namespace {

struct fake_process_state {
  fake_process_state() = default;
  static inline constexpr const char* name = "fake-process";
};

struct heard {
  std::vector<token_event> tokens;
  int cancels = 0;
};

process_actor::behavior_type fake_process(process_actor::stateful_pointer<fake_process_state>,
                                          heard* out) {
  return {
      [out](atom::token, const token_event& e) { out->tokens.push_back(e); },
      [out](atom::cancel) { ++out->cancels; },
      [](atom::deadline) {},
      [](atom::status) { return std::string{}; },
  };
}

struct fixture : test::deterministic_system {
  heard got;
  test::client_log client_heard;
  process_actor process = sys.spawn(fake_process, &got);
  client_actor client = sys.spawn(test::fake_client, &client_heard);
  ledger_actor aut = sys.spawn(ledger);

  void begin(uint64_t id) {
    ledger_entry e;
    e.info.id = {id};
    e.info.state = "waiting";
    e.process = process;
    e.client = client;
    self->send(aut, atom::submit_v, e);
    run();
  }
  ~fixture() {
    for (const auto& a : {caf::actor_cast<caf::actor>(aut), caf::actor_cast<caf::actor>(process),
                          caf::actor_cast<caf::actor>(client)}) {
      self->send_exit(a, caf::exit_reason::user_shutdown);
    }
    run();
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.ledger");

TEST_CASE_FIXTURE(fixture, "tokens reach their process and are counted; strangers are dropped") {
  begin(1);
  token_batch batch(3);
  batch[0].id = {1};
  batch[1].id = {2};
  batch[2].id = {1};
  self->send(aut, atom::token_v, std::make_shared<const token_batch>(batch));
  run();
  CHECK(got.tokens.size() == 2);
  const auto ps = request<process_list>(aut, atom::ps_v);
  REQUIRE(ps.size() == 1);
  CHECK(ps[0].generated_tokens == 2);
}

TEST_CASE_FIXTURE(fixture, "a process that dies silently still ends its client's wait") {
  begin(1);
  self->send_exit(process, caf::exit_reason::kill);
  run();
  REQUIRE(client_heard.failures.size() == 1);
  CHECK(client_heard.failures[0].code == ec::internal);
  CHECK(request<process_list>(aut, atom::ps_v).empty());
}

TEST_CASE_FIXTURE(fixture, "draining answers when the last process has ended") {
  CHECK(request<caf::ok_atom>(aut, atom::drain_v, false) == caf::ok_atom_v);
  begin(1);
  auto r = self->request(aut, caf::infinite, atom::drain_v, true);
  run();
  CHECK(got.cancels == 1);
  self->send(aut, atom::ended_v, request_id{1});
  run();
  bool answered = false;
  r.receive([&](caf::ok_atom) { answered = true; }, [&](caf::error& e) { FAIL(sys.render(e)); });
  CHECK(answered);
}

TEST_CASE_FIXTURE(fixture, "an unknown process is not found") {
  CHECK(request_error<process_actor>(aut, atom::find_v, request_id{7}).code == ec::not_found);
}

TEST_SUITE_END();
