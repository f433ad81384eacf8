#include "runtime/schedule/prefill_pace.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.schedule.prefill_pace") {
  TEST_CASE("it begins with the least and then goes by what rows cost") {
    prefill_pace pace;
    CHECK(pace.rows_within(1'000'000) == prefill_pace::least_rows);
    pace.observe(0, 256, 256'000);
    CHECK(pace.rows_within(100'000) == 100);
    CHECK(pace.rows_within(0) == prefill_pace::least_rows);
    CHECK(pace.rows_within(UINT64_MAX) == UINT32_MAX);
  }

  TEST_CASE("what decodes take in a mixed step is not the prompt's") {
    prefill_pace pace;
    pace.observe(8, 0, 20'000);
    pace.observe(8, 100, 120'000);
    CHECK(pace.rows_within(50'000) == 50);
  }

  TEST_CASE("slower counts at once, faster by and by") {
    prefill_pace pace;
    pace.observe(0, 100, 100'000);
    pace.observe(0, 100, 200'000);
    CHECK(pace.rows_within(200'000) == 100);
    pace.observe(0, 100, 100'000);
    const auto after_one = pace.rows_within(200'000);
    CHECK(after_one > 100);
    CHECK(after_one < 130);
    for (int i = 0; i < 50; ++i) pace.observe(0, 100, 100'000);
    CHECK(pace.rows_within(200'000) >= 199);
  }

  TEST_CASE("a few rows say nothing about many: the weights are read for them all the same") {
    prefill_pace pace;
    pace.observe(0, 256, 256'000);
    pace.observe(4, 3, 30'000);
    CHECK(pace.rows_within(100'000) == 100);
  }
}
