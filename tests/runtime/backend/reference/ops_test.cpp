#include "runtime/backend/reference/ops.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "runtime/base/half.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;
using namespace llmos::reference;

namespace {

std::vector<float> random_values(size_t n, uint64_t seed) {
  test::splitmix64 rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = 2 * rng.uniform() - 1;
  return out;
}

double exact_dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

TEST_SUITE("runtime.backend.reference.ops") {
  TEST_CASE("a dot product takes every element of every length once") {
    for (size_t n = 0; n <= 70; ++n) {
      CAPTURE(n);
      const auto a = random_values(n, 2 * n), b = random_values(n, 2 * n + 1);
      CHECK(dot(a, b) == doctest::Approx(exact_dot(a, b)).epsilon(1e-5));
    }
  }

  TEST_CASE("a matrix product is one dot product per output, on any number of threads") {
    constexpr size_t n_rows = 9, n_in = 301, n_out = 203;  // enough work to be split
    const matrix w{n_out, n_in, random_values(n_out * n_in, 1)};
    const auto in = random_values(n_rows * n_in, 2), bias = random_values(n_out, 3);
    for (const uint32_t n_threads : {1u, 2u, 3u, 300u}) {
      CAPTURE(n_threads);
      std::vector<float> out(n_rows * n_out, -1.0f);
      matmul(out, in, w, bias, n_rows, n_threads);
      for (size_t r = 0; r < n_rows; ++r) {
        for (size_t o = 0; o < n_out; ++o) {
          REQUIRE(out[r * n_out + o] ==
                  dot(w.row(o), std::span<const float>(in).subspan(r * n_in, n_in)) + bias[o]);
        }
      }
    }
  }

  TEST_CASE("work is shared out whole and once, also less of it than threads") {
    for (const size_t n : {0, 1, 2, 7, 100}) {
      std::vector<int> seen(n);
      parallel_for(4, n, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) ++seen[i];
      });
      CHECK(std::all_of(seen.begin(), seen.end(), [](int x) { return x == 1; }));
    }
  }

  TEST_CASE("a norm makes the mean square 1 before it weighs") {
    const std::vector<float> x = {3, -4, 0, 5}, weight = {1, 2, 3, -1};
    std::vector<float> out(4);
    rms_norm(out, x, weight, 0.5f);
    const double scale = 1 / std::sqrt(12.5 + 0.5);
    const double want[] = {3 * scale, -8 * scale, 0, -5 * scale};
    for (size_t i = 0; i < 4; ++i) CHECK(out[i] == doctest::Approx(want[i]));
  }

  TEST_CASE("rotation pairs neighbours or halves and leaves the rest alone") {
    const rope_table quarter_turns{2, {1, 1, 0, 0}, {0, 0, 1, 1}};  // positions 0 and 1
    struct row {
      rope_style style;
      std::array<float, 5> want;
    };
    for (const row& r : {row{rope_style::interleaved, {-2, 1, -4, 3, 5}},
                         row{rope_style::halves, {-3, -4, 1, 2, 5}}}) {
      std::array<float, 5> head = {1, 2, 3, 4, 5};
      rotate(head, quarter_turns, 0, r.style);
      CHECK(head == std::array<float, 5>{1, 2, 3, 4, 5});
      rotate(head, quarter_turns, 1, r.style);
      CHECK(head == r.want);
    }
  }

  TEST_CASE("q8_0 keeps 255 steps of the largest of each 32 values") {
    std::vector<float> x(40, 0.0f);
    x[0] = -254.0f;  // d = 2
    x[1] = 3.1f;
    x[2] = 0.9f;
    x[32] = 12.7f;  // the second part has eight values; d = 0.1 in 16 bits
    x[33] = 0.26f;
    round_to_q8_0(x);
    const float tenth = half_to_float(float_to_half(0.1f));
    CHECK(x[0] == -254.0f);
    CHECK(x[1] == 4.0f);
    CHECK(x[2] == 0.0f);
    CHECK(x[32] == 127 * tenth);
    CHECK(x[33] == 3 * tenth);
    CHECK(std::all_of(x.begin() + 34, x.end(), [](float y) { return y == 0.0f; }));
  }

  TEST_CASE("softmax keeps ratios, sums to 1 and stands large numbers") {
    std::vector<float> x = {1000.0f, 1000.0f + std::log(3.0f), 0.0f};
    softmax(x);
    CHECK(x[0] == doctest::Approx(0.25).epsilon(1e-4));
    CHECK(x[1] == doctest::Approx(0.75).epsilon(1e-4));
    CHECK(x[2] == 0.0f);
  }

  TEST_CASE("swiglu gates by x / (1 + e^-x), also far from 0") {
    std::vector<float> gate = {0.0f, 2.0f, -200.0f, 200.0f};
    const std::vector<float> up = {7.0f, 0.5f, 3.0f, 0.25f};
    swiglu(gate, up);
    CHECK(gate[0] == 0.0f);
    CHECK(gate[1] == doctest::Approx(1.0 / (1.0 + std::exp(-2.0))));
    CHECK(gate[2] == doctest::Approx(0.0));
    CHECK(gate[3] == 50.0f);
  }
}
