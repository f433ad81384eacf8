#include "runtime/model/rope.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/model/model.hpp"

using namespace llmos;

TEST_SUITE("runtime.model.rope") {
  TEST_CASE("pair i of position p turns by p · base^(-2i/dim)") {
    model m;
    m.hp.rope_dim = 8;
    m.hp.rope_base = 10000.0f;
    const rope_table table = make_rope_table(m, 3000);
    REQUIRE(table.n_pairs == 4);
    REQUIRE(table.cos.size() == 3000 * 4);
    for (const size_t pos : {0, 1, 17, 2999}) {
      for (size_t pair = 0; pair < 4; ++pair) {
        const double angle = static_cast<double>(pos) * std::pow(10.0, -static_cast<double>(pair));
        CAPTURE(pos);
        CAPTURE(pair);
        CHECK(table.cos[pos * 4 + pair] == doctest::Approx(std::cos(angle)).epsilon(1e-6));
        CHECK(table.sin[pos * 4 + pair] == doctest::Approx(std::sin(angle)).epsilon(1e-6));
      }
    }
  }

  TEST_CASE("linear scaling, divisors and gain change angle and length") {
    model m;
    m.hp.rope_dim = 4;
    m.hp.rope_base = 10000.0f;
    m.hp.rope_scale = 0.5f;
    m.hp.rope_attn_factor = 2.0f;
    m.rope_factors = {1.0f, 8.0f};
    const rope_table table = make_rope_table(m, 5);
    CHECK(table.cos[4 * 2] == doctest::Approx(2.0 * std::cos(2.0)));
    CHECK(table.sin[4 * 2 + 1] == doctest::Approx(2.0 * std::sin(2.0 / 100.0 / 8.0)));
  }

  TEST_CASE("YaRN keeps fast pairs, stretches slow ones and ramps between them") {
    const yarn_params p{.rope_dim = 128, .base = 1e6, .factor = 4.0, .original_context = 32768};
    const auto factors = yarn_rope_factors(p);
    REQUIRE(factors.size() == 64);
    CHECK(factors[0] == 1.0f);
    CHECK(factors[63] == doctest::Approx(4.0f));
    for (size_t i = 1; i < factors.size(); ++i) CHECK(factors[i] >= factors[i - 1]);
    // Pair 23 turns 32768 / 2π · 10^(-6 · 23/64) = 36 times: fast. Pair 40 turns once: slow.
    CHECK(factors[23] == 1.0f);
    CHECK(factors[40] == doctest::Approx(4.0f));
    CHECK(factors[32] > 1.2f);
    CHECK(factors[32] < 2.0f);
    CHECK(yarn_attn_factor(4.0) == doctest::Approx(1.138629));
    CHECK(yarn_attn_factor(0.5) == 1.0);
  }
}
