#include "actors/supervisor/policy.hpp"

#include <doctest/doctest.h>

using namespace llmos;
using namespace std::chrono_literals;

TEST_SUITE("actors.supervisor.policy") {
  TEST_CASE("more crashes than allowed within the period end the restarts") {
    const restart_policy::time_point t0{};
    restart_policy p{2, 10s};
    CHECK(p.allow(t0));
    CHECK(p.allow(t0 + 1s));
    CHECK_FALSE(p.allow(t0 + 2s));
  }

  TEST_CASE("crashes older than the period are forgiven") {
    const restart_policy::time_point t0{};
    restart_policy p{2, 10s};
    for (int i = 0; i < 20; ++i) CHECK(p.allow(t0 + i * 6s));
  }
}
