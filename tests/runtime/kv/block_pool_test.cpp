#include "runtime/kv/block_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/support/scale.hpp"

using namespace llmos;

TEST_SUITE("runtime.kv.block_pool") {
  TEST_CASE("a pool of 100 gives 60 and 40, refuses one more and takes back no more than it gave") {
    block_pool pool{100};
    const auto first = pool.take(60).value();
    const auto second = pool.take(40).value();
    CHECK(pool.num_used() == 100);

    const auto third = pool.take(1);
    REQUIRE(!third.ok());
    CHECK(third.error().code == ec::out_of_memory);
    CHECK(third.error().text == "asked for 1 KV blocks, 0 of 100 are free");
    CHECK(pool.num_used() == 100);

    CHECK(pool.release(second).value() == 40);
    CHECK(pool.num_used() == 60);
    const auto again = pool.release(second);
    REQUIRE(!again.ok());
    CHECK(again.error().code == ec::invalid_argument);
    CHECK(pool.num_used() == 60);
    pool.check_invariants();
  }

  TEST_CASE("taking none from an empty pool succeeds") {
    block_pool pool{0};
    CHECK(pool.take(0).value().empty());
    CHECK(pool.take(1).error().code == ec::out_of_memory);
  }

  TEST_CASE("a refused release changes nothing, wherever the bad block stands") {
    block_pool pool{4};
    const auto held = pool.take(2).value();
    for (const std::vector<block_id>& bad :
         {std::vector<block_id>{held[0], held[1], 99}, {held[0], held[1], held[0]}, {99}}) {
      CHECK(pool.release(bad).error().code == ec::invalid_argument);
      CHECK(pool.ref_count(held[0]) == 1);
      CHECK(pool.ref_count(held[1]) == 1);
      CHECK(pool.num_free() == 2);
      pool.check_invariants();
    }
  }

  TEST_CASE("a block becomes free with its last reference") {
    block_pool pool{2};
    const std::vector<block_id> b = pool.take(1).value();
    CHECK(pool.retain(b).ok());
    CHECK(pool.release(b).value() == 0);
    CHECK(pool.release(b).value() == 1);
    CHECK(pool.retain(b).error().code == ec::invalid_argument);
    CHECK(pool.retain(std::vector<block_id>{2}).error().code == ec::invalid_argument);
  }

  TEST_CASE("a request for k <= free blocks succeeds after any history") {
    std::mt19937 rng{7};
    block_pool pool{64};
    std::vector<block_id> held;
    for (int i = 0; i < test::scaled(10000); ++i) {
      const auto k = static_cast<uint32_t>(rng() % 80);
      const uint32_t free = pool.num_free();
      const auto got = pool.take(k);
      REQUIRE(got.ok() == (k <= free));
      if (got.ok()) {
        REQUIRE(std::set<block_id>(got->begin(), got->end()).size() == k);
        held.insert(held.end(), got->begin(), got->end());
      }
      std::shuffle(held.begin(), held.end(), rng);
      const std::span<const block_id> back = std::span(held).first(rng() % (held.size() + 1));
      REQUIRE(pool.release(back).value() == back.size());
      held.erase(held.begin(), held.begin() + static_cast<ptrdiff_t>(back.size()));
      REQUIRE(pool.num_used() == held.size());
      pool.check_invariants();
    }
  }
}
