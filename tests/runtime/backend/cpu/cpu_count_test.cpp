#include "runtime/backend/cpu/cpu_count.hpp"

#include <doctest/doctest.h>
#include <sched.h>

using namespace llmos;

TEST_SUITE("runtime.backend.cpu.cpu_count") {
  TEST_CASE("a quota grants whole processors, at least one") {
    struct row {
      const char* text;
      std::optional<uint32_t> want;
    };
    const row table[] = {
        {"max 100000", std::nullopt}, {"200000 100000", 2},       {"150000 100000", 1},
        {"50000 100000", 1},          {"800000 100000\n", 8},     {"", std::nullopt},
        {"100000", std::nullopt},     {"1 0", std::nullopt},      {"-1 100000", std::nullopt},
        {"x y", std::nullopt},        {"100000 x", std::nullopt},
    };
    for (const row& r : table) {
      CAPTURE(r.text);
      CHECK(cpu::cpus_of_quota(r.text) == r.want);
    }
  }

  TEST_CASE("an affinity mask of one processor leaves one") {
    cpu_set_t before;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    int first = 0;
    while (!CPU_ISSET(first, &before)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    const uint32_t n = cpu::usable_cpus();
    REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
    CHECK(n == 1);
    CHECK(cpu::usable_cpus() >= 1);
    CHECK(cpu::usable_cpus() <= static_cast<uint32_t>(CPU_COUNT(&before)));
  }
}
