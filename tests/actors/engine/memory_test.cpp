#include "actors/engine/memory/memory.hpp"

#include "actors/error.hpp"
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

using told_transfer_actor =
    caf::typed_actor<caf::replies_to<atom::move, std::vector<block_move>>::with<caf::ok_atom>,
                     caf::reacts_to<atom::done, uint64_t>, caf::reacts_to<atom::failed>>;

struct moving {
  std::vector<std::vector<block_move>> moves;
  std::vector<caf::typed_response_promise<caf::ok_atom>> open;
};

/// Answers when the test says how many of the open moves are done.
told_transfer_actor::behavior_type fake_mover(
    told_transfer_actor::stateful_pointer<fake_listener_state> self, moving* log) {
  return {
      [=](atom::move, const std::vector<block_move>& moves) {
        log->moves.push_back(moves);
        log->open.push_back(self->make_response_promise<caf::ok_atom>());
        return log->open.back();
      },
      [=](atom::done, uint64_t n) {
        for (uint64_t i = 0; i < n; ++i) log->open.at(i).deliver(caf::ok_atom_v);
        log->open.erase(log->open.begin(), log->open.begin() + static_cast<std::ptrdiff_t>(n));
      },
      [=](atom::failed) {
        log->open.at(0).deliver(to_error({ec::engine_failed, "the copy failed", ""}));
        log->open.clear();
      },
  };
}

struct fixture : test::deterministic_system {
  heard got;
  moving moved;
  std::vector<memory_report> reports;
  memory_listener_actor listener = sys.spawn(fake_listener, &got);
  memory_observer_actor monitor = sys.spawn(fake_monitor, &reports);
  told_transfer_actor mover = sys.spawn(fake_mover, &moved);
  memory_actor aut = sys.spawn(memory_manager, memory_args{{"model", "cpu"}, 10, 4, "salt", 20});

  fixture() { tell(atom::wire_v, memory_wiring{listener, monitor, mover}); }
  ~fixture() {
    moved.open.clear();
    self->send_exit(mover, caf::exit_reason::user_shutdown);
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
  void seal(uint32_t n_tokens, const std::vector<block_id>& blocks) {
    token_vector ids(n_tokens);
    for (uint32_t i = 0; i < n_tokens; ++i) ids[i] = static_cast<token_id>(i);
    tell(atom::seal_v, seal_notice{"a", std::make_shared<const token_vector>(ids), blocks});
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
  CHECK(reports[0].engine.model == "model");
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

TEST_CASE_FIXTURE(fixture, "blocks are handed out when what was in them has been moved, in order") {
  reserve(1, 40, 10);
  REQUIRE(got.reserved.size() == 1);
  seal(40, got.reserved[0].blocks);
  tell(atom::release_v, got.reserved[0].blocks);
  tell(atom::lease_v, 2u);
  REQUIRE(moved.moves.size() == 1);
  CHECK(moved.moves[0].size() == 2);
  CHECK(moved.moves[0][0].from == got.reserved[0].blocks[9]);  // the tail goes first
  CHECK(moved.moves[0][0].to >= 10);
  CHECK(got.leased.empty());
  reserve(2, 41, 10);               // more than there is
  CHECK(got.reserved.size() == 1);  // its refusal waits behind the lease
  self->send(mover, atom::done_v, uint64_t{2});
  run();
  CHECK(got.leased.size() == 1);
  REQUIRE(got.reserved.size() == 2);
  CHECK_FALSE(got.reserved[1].granted);
  tell(atom::release_v, got.leased[0]);
  reserve(3, 41, 10);
  CHECK(got.reserved.size() == 2);  // until its prefix is back
  REQUIRE(moved.moves.size() == 3);
  CHECK(moved.moves[2].size() == 2);
  CHECK(moved.moves[2][0].from >= 10);
  self->send(mover, atom::done_v, uint64_t{1});
  run();
  REQUIRE(got.reserved.size() == 3);
  CHECK(got.reserved[2].granted);
  CHECK(got.reserved[2].num_cached == 40);
}

TEST_CASE_FIXTURE(fixture, "a move that fails ends the engine") {
  reserve(1, 40, 10);
  seal(40, got.reserved[0].blocks);
  tell(atom::release_v, got.reserved[0].blocks);
  self->monitor(aut);
  tell(atom::lease_v, 2u);
  self->send(mover, atom::failed_v);
  run();
  ec why = ec::none;
  self->receive([&](const caf::down_msg& d) { why = to_failure(d.reason).code; });
  CHECK(why == ec::engine_failed);
}

TEST_SUITE_END();
