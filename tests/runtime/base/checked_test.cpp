#include "runtime/base/checked.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

using namespace llmos;

TEST_SUITE("runtime.base.checked") {
  TEST_CASE("sums, products and round-ups that do not fit are nothing") {
    constexpr auto max = std::numeric_limits<uint64_t>::max();
    CHECK(checked_add<uint64_t>(max - 1, 1) == max);
    CHECK_FALSE(checked_add<uint64_t>(max, 1));
    CHECK(checked_mul<uint64_t>(1ull << 32, (1ull << 32) - 1));
    CHECK_FALSE(checked_mul<uint64_t>(1ull << 32, 1ull << 32));
    CHECK(checked_round_up<uint64_t>(33, 32) == 64u);
    CHECK(checked_round_up<uint64_t>(64, 32) == 64u);
    CHECK_FALSE(checked_round_up<uint64_t>(max, 32));
    CHECK(ceil_div<uint64_t>(max, 2) == (max / 2) + 1);
  }
}
