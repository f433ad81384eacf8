#include "gpu/device.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/skip.hpp"

using namespace llmos;

TEST_SUITE("gpu.device") {
  TEST_CASE("a device that is not there is an error, never a crash") {
    for (const int device : {-1, gpu::device_count(), 1000000}) {
      CAPTURE(device);
      const auto found = gpu::describe(device);
      REQUIRE_FALSE(found.ok());
      CHECK((found.error().code == ec::not_found || found.error().code == ec::unsupported));
      CHECK_FALSE(found.error().hint.empty());
    }
  }

  TEST_CASE("a device tells its name, capability and memory") {
    if (gpu::device_count() == 0) return test::skip("no CUDA device");
    const auto found = gpu::describe(0);
    REQUIRE_MESSAGE(found.ok(), to_string(found.error()));
    MESSAGE(found->name << ", compute capability " << found->compute);
    CHECK_FALSE(found->name.empty());
    CHECK(found->compute.find('.') != std::string::npos);
    CHECK(found->memory_bytes >= uint64_t{1} << 30);
    CHECK(found->n_processors > 0);
  }
}
