#include "runtime/sampling/philox.hpp"

#include <doctest/doctest.h>

#include "runtime/sampling/sampler.hpp"

using namespace llmos;
using words = std::array<uint32_t, 4>;

TEST_SUITE("runtime.sampling.philox") {
  TEST_CASE("the known answers of Random123 come out") {
    CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) ==
          words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    constexpr uint32_t f = 0xffffffff;
    CHECK(philox4x32_10({f, f, f, f}, {f, f}) ==
          words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(
        philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  }

  TEST_CASE("a uniform is the top 24 bits of the first word and depends on every argument") {
    CHECK(philox_uniform(0, 0, 0) == float(0x6627e8) / float(1 << 24));
    const uint64_t seed = 0x299f31d0a4093822u;
    CHECK(
        philox_uniform(seed, 0x85a308d3243f6a88u, 0x13198a2e) ==
        float(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0}, {0xa4093822, 0x299f31d0})[0] >>
              8) /
            float(1 << 24));
    CHECK(philox_uniform(1, 2, 3) != philox_uniform(uint64_t{1} << 32 | 1, 2, 3));
    CHECK(philox_uniform(1, 2, 3) != philox_uniform(1, uint64_t{1} << 32 | 2, 3));
    CHECK(philox_uniform(1, 2, 3) != philox_uniform(1, 2, 4));
  }

  TEST_CASE("uniforms lie in [0, 1) and fill it evenly") {
    double sum = 0;
    for (uint64_t i = 0; i < 20000; ++i) {
      const float u = philox_uniform(9, i, 0);
      REQUIRE(u >= 0);
      REQUIRE(u < 1);
      sum += double(u);
    }
    CHECK(sum / 20000 == doctest::Approx(0.5).epsilon(0.01));
  }
}
