#include "runtime/base/half.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace llmos;

TEST_SUITE("runtime.base.half") {
  TEST_CASE("every finite half survives the way to float and back") {
    for (uint32_t h = 0; h < 0x10000; ++h) {
      const float f = half_to_float(static_cast<uint16_t>(h));
      if (std::isnan(f)) continue;
      REQUIRE(float_to_half(f) == h);
    }
  }

  TEST_CASE("rounding is to nearest even and overflow is infinity") {
    struct row {
      const char* name;
      float in;
      uint16_t want;
    };
    const row table[] = {
        {"one", 1.0f, 0x3c00},
        {"half way to the next goes to even", 1.0f + 0x1p-11f, 0x3c00},
        {"half way from odd goes up", 1.0f + 0x1p-10f + 0x1p-11f, 0x3c02},
        {"just above half way", 1.0f + 0x1p-11f + 0x1p-20f, 0x3c01},
        {"largest", 65504.0f, 0x7bff},
        {"just below the overflow border", 65519.99f, 0x7bff},
        {"the overflow border", 65520.0f, 0x7c00},
        {"smallest subnormal", 0x1p-24f, 0x0001},
        {"half of it goes to even", 0x1p-25f, 0x0000},
        {"just above half of it", 0x1.1p-25f, 0x0001},
        {"negative zero", -0.0f, 0x8000},
        {"infinity", std::numeric_limits<float>::infinity(), 0x7c00},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(float_to_half(r.in) == r.want);
    }
    CHECK((float_to_half(std::numeric_limits<float>::quiet_NaN()) & 0x7fff) > 0x7c00);
  }

  TEST_CASE("bf16 keeps the upper half and rounds to even") {
    CHECK(bf16_to_float(0x3f80) == 1.0f);
    CHECK(float_to_bf16(1.0f + 0x1p-8f) == 0x3f80);
    CHECK(float_to_bf16(1.0f + 0x1p-7f + 0x1p-8f) == 0x3f82);
    CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  }
}
