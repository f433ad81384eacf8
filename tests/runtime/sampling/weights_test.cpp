#include "runtime/sampling/weights.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

using namespace llmos;

namespace {

float exp_of(float x) {
  std::array<float, 1> v{x};
  exp_nonpositive(v);
  return v[0];
}

}  // namespace

TEST_SUITE("runtime.sampling.weights") {
  TEST_CASE("the exponential is exact at 0 and within 3e-7 of the true one down to -87") {
    CHECK(exp_of(0.0f) == 1.0f);
    CHECK(exp_of(-0.0f) == 1.0f);
    for (int i = 0; i < 87000; ++i) {
      const float x = -0.001f * static_cast<float>(i) - 1e-4f;
      const double want = std::exp(double(x));
      REQUIRE(std::abs(double(exp_of(x)) - want) <= 3e-7 * want);
    }
  }

  TEST_CASE("the exponential's bits are what they have always been") {
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a of words
    for (int i = 0; i < 100000; ++i) {
      const float e = exp_of(-0.001f * static_cast<float>(i));
      hash = (hash ^ std::bit_cast<uint32_t>(e)) * 0x100000001b3u;
    }
    CHECK(hash == 0x3486339980428737u);
  }

  TEST_CASE("what is too small for a weight is 0, however far below") {
    CHECK(to_weight(exp_of(-28.0f)) == 0);
    CHECK(to_weight(exp_of(-1e30f)) == 0);
    CHECK(to_weight(exp_of(-std::numeric_limits<float>::infinity())) == 0);
    CHECK(to_weight(exp_of(-27.5f)) == 1);
    CHECK(to_weight(1.0f) == uint64_t{1} << 40);
  }

  TEST_CASE("an element's exponential does not depend on its place in the array") {
    std::vector<float> many(1000);
    for (size_t i = 0; i < many.size(); ++i) many[i] = -0.05f * static_cast<float>(i);
    std::vector<float> got = many;
    exp_nonpositive(got);
    for (size_t i = 0; i < many.size(); ++i) REQUIRE(got[i] == exp_of(many[i]));
  }

  TEST_CASE("the maximum covers every element at every length") {
    for (size_t n : {1u, 31u, 32u, 33u, 255u, 256u, 257u, 1000u}) {
      CAPTURE(n);
      for (size_t peak : {size_t{0}, n / 2, n - 1}) {
        std::vector<float> x(n, -1.0f);
        x[peak] = 2.0f;
        CHECK(max_of(x) == 2.0f);
      }
    }
    CHECK(max_of({}) == -std::numeric_limits<float>::infinity());
  }
}
