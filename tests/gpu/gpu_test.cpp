#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/blas.hpp"
#include "gpu/kernels/axpy.hpp"
#include "tests/support/skip.hpp"

using namespace llmos;

namespace {

/// A stream on device 0; nothing, and the case counted as skipped, when there is no device.
std::optional<gpu::stream> stream_or_skip() {
  if (gpu::device_count() == 0) {
    test::skip("no CUDA device");
    return std::nullopt;
  }
  const auto used = gpu::use(0);
  REQUIRE_MESSAGE(used.ok(), to_string(used.error()));
  auto s = gpu::stream::create();
  REQUIRE_MESSAGE(s.ok(), to_string(s.error()));
  return std::move(*s);
}

/// Small whole numbers and halves: sums of their products are exact in float32 in any order.
std::vector<float> halves(size_t n, uint32_t seed) {
  std::vector<float> x(n);
  for (float& v : x) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int>(seed >> 28) - 8) / 2;
  }
  return x;
}

gpu::buffer on_device(const std::vector<float>& x, const gpu::stream& s) {
  auto b = gpu::buffer::create((x.size() + 1) * sizeof(float));
  REQUIRE_MESSAGE(b.ok(), to_string(b.error()));
  REQUIRE(b->copy_from_host(x.data(), x.size() * sizeof(float), s.handle()).ok());
  return std::move(*b);
}

std::vector<float> on_host(const gpu::buffer& b, size_t n, const gpu::stream& s) {
  std::vector<float> x(n);
  REQUIRE(b.copy_to_host(x.data(), n * sizeof(float), s.handle()).ok());
  const auto waited = s.synchronize();
  REQUIRE_MESSAGE(waited.ok(), to_string(waited.error()));
  return x;
}

}  // namespace

TEST_SUITE("gpu") {
  TEST_CASE("a device that is not there is an error, never a crash") {
    for (const int device : {-1, gpu::device_count(), 1000000}) {
      CAPTURE(device);
      const auto found = gpu::describe(device);
      REQUIRE_FALSE(found.ok());
      CHECK((found.error().code == ec::not_found || found.error().code == ec::unsupported));
      CHECK_FALSE(found.error().hint.empty());
      CHECK_FALSE(gpu::use(device).ok());
    }
  }

  TEST_CASE("a device tells its name, capability and memory") {
    if (!stream_or_skip()) return;
    const auto found = gpu::describe(0);
    REQUIRE_MESSAGE(found.ok(), to_string(found.error()));
    MESSAGE(found->name << ", compute capability " << found->compute);
    CHECK_FALSE(found->name.empty());
    CHECK(found->compute.find('.') != std::string::npos);
    CHECK(found->memory_bytes >= uint64_t{1} << 30);
  }

  TEST_CASE("axpy equals one fused multiply-add per element at every length") {
    const auto s = stream_or_skip();
    if (!s) return;
    for (const size_t n : {0, 1, 31, 32, 33, 255, 256, 257, 4095, 1048577, 3000001}) {
      CAPTURE(n);
      std::vector<float> want = halves(n, 1);
      const std::vector<float> x = halves(n, 2);
      gpu::buffer y_there = on_device(want, *s);
      const gpu::buffer x_there = on_device(x, *s);
      for (size_t i = 0; i < n; ++i) want[i] = std::fma(0.3f, x[i], want[i]);
      const auto ran =
          gpu::axpy(y_there.data<float>(), x_there.data<float>(), n, 0.3f, s->handle());
      REQUIRE_MESSAGE(ran.ok(), to_string(ran.error()));
      CHECK(on_host(y_there, n, *s) == want);
    }
  }

  TEST_CASE("sgemm multiplies row-major matrices of any shape") {
    const auto s = stream_or_skip();
    if (!s) return;
    const auto cublas = gpu::blas::create();
    REQUIRE_MESSAGE(cublas.ok(), to_string(cublas.error()));
    struct row {
      int m, n, k;
    };
    for (const row& r :
         {row{1, 1, 1}, row{1, 7, 3}, row{5, 1, 9}, row{17, 33, 65}, row{64, 64, 64}}) {
      CAPTURE(r.m);
      CAPTURE(r.n);
      CAPTURE(r.k);
      const std::vector<float> a = halves(r.m * r.k, 3), b = halves(r.k * r.n, 4);
      std::vector<float> want(r.m * r.n, 0.0f);
      for (int i = 0; i < r.m; ++i)
        for (int j = 0; j < r.n; ++j)
          for (int l = 0; l < r.k; ++l) want[i * r.n + j] += a[i * r.k + l] * b[l * r.n + j];
      const gpu::buffer a_there = on_device(a, *s), b_there = on_device(b, *s);
      gpu::buffer c_there = on_device(std::vector<float>(want.size(), NAN), *s);
      const auto ran = cublas->sgemm(c_there.data<float>(), a_there.data<float>(),
                                     b_there.data<float>(), r.m, r.n, r.k, s->handle());
      REQUIRE_MESSAGE(ran.ok(), to_string(ran.error()));
      CHECK(on_host(c_there, want.size(), *s) == want);
    }
  }

  TEST_CASE("asking for more memory than a device has names the bytes and spoils nothing") {
    const auto s = stream_or_skip();
    if (!s) return;
    const auto none = gpu::buffer::create(size_t{1} << 50);
    REQUIRE_FALSE(none.ok());
    CHECK(none.error().code == ec::out_of_memory);
    CHECK(none.error().text.find("1125899906842624 bytes") != std::string::npos);
    CHECK(none.error().text.find("device.cu:") != std::string::npos);
    CHECK(gpu::buffer::create(1024).ok());
  }
}
