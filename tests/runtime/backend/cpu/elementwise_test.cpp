#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/backend/cpu/dispatch.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

std::vector<float> random_floats(size_t n, float size, uint64_t seed) {
  test::splitmix64 random(seed);
  std::vector<float> out(n);
  for (float& x : out) x = (random.uniform() - 0.5f) * 2.0f * size;
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_SUITE("runtime.backend.cpu.elementwise") {
  TEST_CASE("exp is off by little more than an ulp where its result is normal") {
    std::vector<float> x;
    for (float v = -87.3f; v <= 88.3f; v += 0.00137f) x.push_back(v);
    std::vector<float> y(x.size());
    cpu::kernels_portable.exp(x.data(), static_cast<uint32_t>(x.size()), y.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = std::exp(double{x[i]});
      const auto near = static_cast<float>(want);
      const double ulp = std::nextafter(near, INFINITY) - double{near};
      worst = std::max(worst, std::fabs(y[i] - want) / ulp);
    }
    CHECK(worst < 1.1);
  }

  TEST_CASE("exp of special values") {
    const float inf = std::numeric_limits<float>::infinity();
    std::vector<float> x{0.0f, -0.0f, -inf, inf, -200.0f, 200.0f, std::nanf("")};
    std::vector<float> y(x.size());
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      kernels->exp(x.data(), static_cast<uint32_t>(x.size()), y.data());
      CHECK(y[0] == 1.0f);
      CHECK(y[1] == 1.0f);
      CHECK(y[2] == 0.0f);
      CHECK(y[3] == inf);
      CHECK(y[4] == 0.0f);
      CHECK(y[5] == inf);
      CHECK(std::isnan(y[6]));
    }
  }

  TEST_CASE("every instruction set gives the same bits for any length") {
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      for (uint32_t n = 1; n <= 70; ++n) {
        const auto a = random_floats(n, 20.0f, n), b = random_floats(n, 2.0f, n + 1000);
        std::vector<float> got(n), want(n);
        kernels->exp(a.data(), n, got.data());
        cpu::kernels_portable.exp(a.data(), n, want.data());
        CHECK(same_bits(got, want));
        kernels->silu_mul(a.data(), b.data(), n, got.data());
        cpu::kernels_portable.silu_mul(a.data(), b.data(), n, want.data());
        CHECK(same_bits(got, want));
        kernels->rms_norm(a.data(), b.data(), n, 1e-5f, got.data());
        cpu::kernels_portable.rms_norm(a.data(), b.data(), n, 1e-5f, want.data());
        CHECK(same_bits(got, want));
      }
    }
  }

  TEST_CASE("silu and norm are close to double arithmetic") {
    const uint32_t n = 100;
    const auto a = random_floats(n, 20.0f, 1), b = random_floats(n, 2.0f, 2);
    std::vector<float> silu(n), norm(n);
    cpu::kernels_portable.silu_mul(a.data(), b.data(), n, silu.data());
    cpu::kernels_portable.rms_norm(a.data(), b.data(), n, 1e-5f, norm.data());
    double squares = 0;
    for (const float x : a) squares += double{x} * x;
    const double scale = 1.0 / std::sqrt(squares / n + 1e-5);
    for (uint32_t i = 0; i < n; ++i) {
      // A handful of roundings of 2^-24 each.
      CHECK(silu[i] ==
            doctest::Approx(a[i] / (1.0 + std::exp(-double{a[i]})) * b[i]).epsilon(1e-6));
      CHECK(norm[i] == doctest::Approx(a[i] * scale * b[i]).epsilon(1e-6));
    }
  }
}
