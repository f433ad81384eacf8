#include "runtime/schedule/step_gap.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

gap_watch::time at(int us) {
  return gap_watch::time{} + std::chrono::microseconds{us};
}

}  // namespace

TEST_SUITE("runtime.schedule.step_gap") {
  TEST_CASE("the parts add up to the time between two steps") {
    gap_watch watch;
    watch.step_sent(at(0));
    CHECK_FALSE(watch.step_began(at(9)));  // nothing was waiting before the first
    watch.step_ended(at(100), at(120));
    watch.step_sent(at(125));
    const auto gap = watch.step_began(at(145));
    REQUIRE(gap);
    CHECK(gap->deliver_us == 20);
    CHECK(gap->plan_us == 5);
    CHECK(gap->blocks_us == 0);
    CHECK(gap->dispatch_us == 20);
    CHECK(gap->total_us() == 45);
  }

  TEST_CASE("waiting for blocks counts from the first failed plan to the one that succeeds") {
    gap_watch watch;
    watch.step_ended(at(0), at(10));
    watch.blocked(at(12));
    watch.blocked(at(20));
    watch.step_sent(at(40));
    const auto gap = watch.step_began(at(41));
    REQUIRE(gap);
    CHECK(gap->plan_us == 2);
    CHECK(gap->blocks_us == 28);
    CHECK(gap->total_us() == 41);
  }

  TEST_CASE("a step that the executor had already waits for nobody but it") {
    gap_watch watch;
    watch.step_sent(at(0));
    CHECK_FALSE(watch.step_began(at(9)));
    watch.step_ended_before_another(at(100));
    const auto gap = watch.step_began(at(103));
    REQUIRE(gap);
    CHECK(gap->dispatch_us == 3);
    CHECK(gap->total_us() == 3);
    watch.step_ended(at(200), at(220));
    watch.step_sent(at(225));
    CHECK(watch.step_began(at(230))->total_us() == 30);
  }

  TEST_CASE("an idle engine has no gap") {
    gap_watch watch;
    watch.step_ended(at(0), at(10));
    watch.idle();
    watch.step_sent(at(5000));
    CHECK_FALSE(watch.step_began(at(5001)));
  }
}
