#include "actors/ledger/ledger.hpp"

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/fake_process.hpp"

using namespace llmos;

namespace {

struct fixture : test::deterministic_system {
  test::process_log got;
  test::client_log client_heard;
  process_actor process = sys.spawn(test::fake_process, &got);
  client_actor client = sys.spawn(test::fake_client, &client_heard);
  ledger_actor aut = sys.spawn(ledger);

  ledger_entry entry(uint64_t id) {
    ledger_entry e;
    e.info.id = {id};
    e.info.state = "waiting";
    e.process = process;
    e.client = client;
    return e;
  }
  void begin(uint64_t id) {
    self->send(aut, atom::submit_v, entry(id));
    run();
  }
  void tokens(const std::vector<token_event>& batch) {
    self->send(aut, atom::token_v, std::make_shared<const token_batch>(batch));
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

token_event token(uint64_t id, uint32_t index, token_id what = 5) {
  return {{id}, index, {what, 0, {}}, stop_reason::none, 0};
}

}  // namespace

TEST_SUITE_BEGIN("actors.ledger");

TEST_CASE_FIXTURE(fixture, "tokens reach their process and are counted; strangers are dropped") {
  begin(1);
  tokens({token(1, 0), token(2, 0), token(1, 1)});
  CHECK(got.tokens.size() == 2);
  const auto ps = request<process_list>(aut, atom::ps_v);
  REQUIRE(ps.size() == 1);
  CHECK(ps[0].generated_tokens == 2);
}

TEST_CASE_FIXTURE(fixture, "a token that comes again, or that is none, is passed on uncounted") {
  begin(1);
  tokens({token(1, 0), token(1, 1)});
  tokens({token(1, 1), token(1, 2, -1)});
  CHECK(got.tokens.size() == 4);
  CHECK(request<process_list>(aut, atom::ps_v).at(0).generated_tokens == 2);
}

TEST_CASE_FIXTURE(fixture, "a process that dies silently still ends its client's wait") {
  begin(1);
  self->send_exit(process, caf::exit_reason::kill);
  run();
  REQUIRE(client_heard.failures.size() == 1);
  CHECK(client_heard.failures[0].code == ec::internal);
  CHECK(request<process_list>(aut, atom::ps_v).empty());
}

TEST_CASE_FIXTURE(fixture, "a process that comes from a fallen ledger is listed as it is") {
  auto e = entry(7);
  e.info.generated_tokens = 40;
  e.info.age_ms = 3'600'000;
  self->send(aut, atom::submit_v, e);
  tokens({token(7, 39), token(7, 40)});
  const auto ps = request<process_list>(aut, atom::ps_v);
  REQUIRE(ps.size() == 1);
  CHECK(ps[0].generated_tokens == 41);
  CHECK(ps[0].age_ms >= 3'600'000);
  self->send(aut, atom::ended_v, request_id{7});
  run();
  CHECK(request<process_list>(aut, atom::ps_v).empty());
}

TEST_SUITE_END();
