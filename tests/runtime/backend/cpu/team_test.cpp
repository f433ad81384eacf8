#include "runtime/backend/cpu/team.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/scale.hpp"

using namespace llmos;

TEST_SUITE("runtime.backend.cpu.team") {
  TEST_CASE("every worker runs every job once, the caller as worker 0") {
    for (const uint32_t n : {1u, 2u, 3u, 5u}) {
      CAPTURE(n);
      auto made = cpu::team::make(n);
      REQUIRE(made.ok());
      std::vector<uint32_t> runs(n, 0);
      const auto caller = std::this_thread::get_id();
      bool caller_is_0 = true;
      for (int job = 0; job < 100; ++job) {
        (*made)->run([&](uint32_t worker) {
          ++runs[worker];
          if (worker == 0) caller_is_0 &= std::this_thread::get_id() == caller;
        });
      }
      CHECK(runs == std::vector<uint32_t>(n, 100));
      CHECK(caller_is_0);
    }
  }

  TEST_CASE("what is written before a barrier is seen after it") {
    constexpr uint32_t n = 3;
    const auto rounds = static_cast<uint32_t>(test::scaled(10000));
    auto made = cpu::team::make(n);
    REQUIRE(made.ok());
    uint32_t cells[n] = {};
    uint32_t wrong[n] = {};
    (*made)->run([&](uint32_t worker) {
      for (uint32_t round = 1; round <= rounds; ++round) {
        cells[worker] = round;
        (*made)->barrier();
        for (const uint32_t cell : cells) wrong[worker] += cell != round;
        (*made)->barrier();
      }
    });
    for (const uint32_t count : wrong) CHECK(count == 0);
  }

  TEST_CASE("a team that never ran ends") {
    for (int i = 0; i < 50; ++i) CHECK(cpu::team::make(4).ok());
  }

  TEST_CASE("shares cover all items once, in order") {
    for (const uint32_t n : {0u, 1u, 7u, 60u}) {
      for (const uint32_t size : {1u, 2u, 3u, 64u}) {
        uint32_t next = 0;
        for (uint32_t worker = 0; worker < size; ++worker) {
          const cpu::share s = cpu::share_of(n, worker, size);
          CHECK(s.begin == next);
          CHECK(s.begin <= s.end);
          next = s.end;
        }
        CHECK(next == n);
      }
    }
  }
}
