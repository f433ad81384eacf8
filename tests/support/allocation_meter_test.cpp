#include "tests/support/allocation_meter.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace llmos::test;

TEST_SUITE("support.allocation_meter") {
  TEST_CASE("what is taken and given back counts in the peak") {
    const allocation_meter meter;
    { const std::vector<char> first(1 << 20); }
    CHECK(meter.peak_bytes() >= 1 << 20);
    CHECK(meter.peak_bytes() < (1 << 20) + 4096);
    CHECK(meter.count() == 1);
    {
      const std::vector<char> second(1 << 20);
      const auto third = std::make_unique<char[]>(1 << 20);
      CHECK(meter.count() == 3);
    }
    CHECK(meter.peak_bytes() >= 2 << 20);
    CHECK(meter.peak_bytes() < (2 << 20) + 8192);
  }

  TEST_CASE("aligned memory counts too and a new meter begins at zero") {
    struct alignas(128) line {
      char bytes[128];
    };
    const auto kept = std::make_unique<std::vector<char>>(1 << 20);
    const allocation_meter meter;
    CHECK(meter.count() == 0);
    CHECK(meter.peak_bytes() == 0);
    { const std::vector<line> lines(100); }
    CHECK(meter.count() == 1);
    CHECK(meter.peak_bytes() >= 12'800);
    CHECK(meter.peak_bytes() < 20'000);
  }
}
