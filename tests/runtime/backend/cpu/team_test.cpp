#include "runtime/backend/cpu/team.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

/// Stages of given sizes that note who ran what and what they found.
struct recorder final : cpu::staged_work {
  std::vector<std::vector<uint32_t>> runs;  // [stage][item], written by whoever runs the item
  std::vector<uint32_t> opened;
  std::atomic<uint32_t> n_early{0};  // items that found one of the stage before not done
  std::atomic<uint32_t> n_strangers{0};
  uint32_t n_workers;

  recorder(const std::vector<uint32_t>& sizes, uint32_t n_workers) : n_workers(n_workers) {
    for (const uint32_t n : sizes) runs.emplace_back(n, 0u);
  }
  bool is_done(uint32_t stage) const {
    return runs[stage] == std::vector<uint32_t>(runs[stage].size(), 1u);
  }
  uint32_t n_stages() const override { return static_cast<uint32_t>(runs.size()); }
  uint32_t n_items(uint32_t stage) override {
    opened.push_back(stage);
    n_early += stage > 0 && !is_done(stage - 1);
    return static_cast<uint32_t>(runs[stage].size());
  }
  void run(uint32_t stage, uint32_t item, uint32_t worker) override {
    ++runs[stage][item];
    n_strangers += worker >= n_workers;
    n_early += stage > 0 && !is_done(stage - 1);
  }
};

}  // namespace

TEST_SUITE("runtime.backend.cpu.team") {
  TEST_CASE("every item of every stage is run once, after all of the stage before") {
    const std::vector<uint32_t> sizes{1, 0, 7, 3, 0, 0, 200, 2, 1, 0};
    const auto rounds = static_cast<uint32_t>(test::scaled(10000));
    for (const uint32_t n : {1u, 2u, 3u, 5u}) {
      CAPTURE(n);
      auto made = cpu::team::make(n);
      REQUIRE(made.ok());
      uint32_t n_wrong = 0;
      for (uint32_t round = 0; round < rounds; ++round) {
        recorder work(sizes, n);
        (*made)->run(work);
        bool right = work.opened == std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        for (uint32_t stage = 0; stage < sizes.size(); ++stage) right &= work.is_done(stage);
        n_wrong += !right || work.n_early != 0 || work.n_strangers != 0;
      }
      CHECK(n_wrong == 0);
    }
  }

  TEST_CASE("the others take the items of a worker that is held up") {
    constexpr uint32_t n_items = 64;
    auto made = cpu::team::make(2);
    REQUIRE(made.ok());
    std::atomic<uint32_t> n_done{0};
    std::atomic<bool> is_held{false};
    (*made)->for_each(n_items, [&](uint32_t, uint32_t) {
      // Whoever comes first stays until everything else is done.
      if (!is_held.exchange(true)) {
        while (n_done < n_items - 1) std::this_thread::yield();
      }
      ++n_done;
    });
    CHECK(n_done == n_items);
  }

  TEST_CASE("the caller is worker 0") {
    auto made = cpu::team::make(3);
    REQUIRE(made.ok());
    const auto caller = std::this_thread::get_id();
    std::atomic<uint32_t> n_wrong{0};
    for (int i = 0; i < 100; ++i) {
      (*made)->for_each(50, [&](uint32_t, uint32_t worker) {
        n_wrong += (worker == 0) != (std::this_thread::get_id() == caller);
      });
    }
    CHECK(n_wrong == 0);
  }

  TEST_CASE("work without items ends at once") {
    auto made = cpu::team::make(2);
    REQUIRE(made.ok());
    recorder none({}, 2), empty({0, 0}, 2);
    (*made)->run(none);
    (*made)->run(empty);
    CHECK(empty.opened == std::vector<uint32_t>{0, 1});
  }

  TEST_CASE("the largest number of items is run") {
    auto made = cpu::team::make(2);
    REQUIRE(made.ok());
    std::atomic<uint64_t> sum{0};
    (*made)->for_each(cpu::staged_work::max_items, [&](uint32_t item, uint32_t) { sum += item; });
    CHECK(sum == uint64_t{65535} * 65534 / 2);
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
