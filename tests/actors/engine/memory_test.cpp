#include "actors/engine/memory/memory.hpp"

#include "tests/support/deterministic_system.hpp"

using namespace llmos;

namespace {

struct fake_listener_state {
  fake_listener_state() = default;
  static inline constexpr const char* name = "fake-listener";
};

struct heard {
  std::vector<reserve_reply> reserved;
  std::vector<std::vector<block_id>> leased;
};

memory_listener_actor::behavior_type fake_listener(
    memory_listener_actor::stateful_pointer<fake_listener_state>, heard* out) {
  return {
      [out](atom::reserved, const reserve_reply& r) { out->reserved.push_back(r); },
      [out](atom::leased, const std::vector<block_id>& b) { out->leased.push_back(b); },
  };
}

memory_observer_actor::behavior_type fake_monitor(
    memory_observer_actor::stateful_pointer<fake_listener_state>,
    std::vector<memory_report>* reports) {
  return {[reports](atom::update, const memory_report& r) { reports->push_back(r); }};
}

struct fixture : test::deterministic_system {
  heard got;
  std::vector<memory_report> reports;
  memory_listener_actor listener = sys.spawn(fake_listener, &got);
  memory_observer_actor monitor = sys.spawn(fake_monitor, &reports);
  memory_actor aut = sys.spawn(memory_manager, std::string{"model"}, 10u, 4u, std::string{"salt"});

  fixture() { tell(atom::wire_v, memory_wiring{listener, monitor}); }
  ~fixture() {
    self->send_exit(aut, caf::exit_reason::user_shutdown);
    self->send_exit(listener, caf::exit_reason::user_shutdown);
    self->send_exit(monitor, caf::exit_reason::user_shutdown);
    run();
  }

  template <class... Ts>
  void tell(Ts&&... xs) {
    self->send(aut, std::forward<Ts>(xs)...);
    run();
  }
  void reserve(uint64_t id, uint32_t tokens, uint32_t blocks) {
    token_vector ids(tokens);
    for (uint32_t i = 0; i < tokens; ++i) ids[i] = static_cast<token_id>(i);
    tell(atom::reserve_v,
         reserve_request{{id}, "a", std::make_shared<const token_vector>(ids), blocks});
  }
  kv_stats stats() { return request<kv_stats>(aut, atom::stats_v); }
};

}  // namespace

TEST_SUITE_BEGIN("actors.engine.memory");

TEST_CASE_FIXTURE(fixture, "a reservation is whole or refused, and a refusal keeps nothing") {
  reserve(1, 20, 6);
  reserve(2, 20, 6);
  REQUIRE(got.reserved.size() == 2);
  CHECK(got.reserved[0].granted);
  CHECK(got.reserved[0].blocks.size() == 6);
  CHECK_FALSE(got.reserved[1].granted);
  CHECK(stats().num_used == 6);
}

TEST_CASE_FIXTURE(fixture, "sealed blocks come back as a cached prefix") {
  reserve(1, 10, 3);
  const auto blocks = got.reserved[0].blocks;
  token_vector ids{0, 1, 2, 3, 4, 5, 6, 7};
  tell(atom::seal_v,
       seal_notice{"a", std::make_shared<const token_vector>(ids), {blocks[0], blocks[1]}});
  tell(atom::release_v, blocks);
  CHECK(stats().num_used == 0);
  reserve(2, 10, 3);
  CHECK(got.reserved[1].num_cached == 8);
  CHECK(got.reserved[1].blocks[0] == blocks[0]);
  CHECK(got.reserved[1].blocks[1] == blocks[1]);
}

TEST_CASE_FIXTURE(fixture, "a lease brings what there is") {
  tell(atom::lease_v, 4u);
  tell(atom::lease_v, 20u);
  REQUIRE(got.leased.size() == 2);
  CHECK(got.leased[0].size() == 4);
  CHECK(got.leased[1].size() == 6);
}

TEST_CASE_FIXTURE(fixture, "the monitor hears whenever blocks change hands") {
  reserve(1, 20, 6);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].model == "model");
  CHECK(reports[0].blocks.num_used == 6);
  tell(atom::lease_v, 2u);
  CHECK(reports.back().blocks.num_used == 8);
  tell(atom::release_v, got.leased[0]);
  REQUIRE(reports.size() == 3);
  CHECK(reports.back().blocks.num_used == 6);
  CHECK(reports.back().blocks.num_free == 4);
}

TEST_CASE_FIXTURE(fixture, "giving back more than is held ends the room with the reason") {
  reserve(1, 4, 1);
  const auto blocks = got.reserved[0].blocks;
  self->monitor(aut);
  tell(atom::release_v, blocks);
  tell(atom::release_v, blocks);
  bool down = false;
  self->receive([&](const caf::down_msg& d) {
    down = true;
    CHECK(to_failure(d.reason).code == ec::invalid_argument);
  });
  CHECK(down);
}

TEST_SUITE_END();
