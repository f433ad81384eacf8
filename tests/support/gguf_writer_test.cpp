#include "tests/support/gguf_writer.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace llmos;
using namespace llmos::test;

TEST_SUITE("support.gguf_writer") {
  TEST_CASE("random blocks of every type have mean 0 and the deviation asked for") {
    constexpr uint64_t n = 256 * 512;
    for (const auto& info : all_tensor_types()) {
      for (const float scale : {0.02f, 1.0f, 20.0f}) {
        CAPTURE(info.name);
        CAPTURE(scale);
        const auto blocks = random_blocks(info.type, n, 7, scale);
        REQUIRE(blocks.size() == n / info.block_elems * info.block_bytes);
        std::vector<float> weights(n);
        dequantize(info.type, blocks.data(), weights);
        double sum = 0;
        double squares = 0;
        for (const float w : weights) {
          sum += w;
          squares += static_cast<double>(w) * w;
        }
        const double mean = sum / n;
        CHECK(std::abs(mean) < 0.05 * scale);
        CHECK(std::sqrt(squares / n - mean * mean) == doctest::Approx(scale).epsilon(0.05));
      }
    }
  }

  TEST_CASE("random blocks are the same for one seed and others for another") {
    const auto blocks = random_blocks(tensor_type::q4_k, 1024, 1, 0.02f);
    CHECK(blocks == random_blocks(tensor_type::q4_k, 1024, 1, 0.02f));
    CHECK(blocks != random_blocks(tensor_type::q4_k, 1024, 2, 0.02f));
  }
}
