#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "runtime/backend/cpu/cpu_backend.hpp"
#include "runtime/backend/evaluate.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

/// FNV-1a of the bits of floats.
uint64_t checksum(std::span<const float> values) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const float x : values) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    for (uint32_t i = 0; i < 32; i += 8) sum = (sum ^ ((bits >> i) & 0xff)) * 0x100000001b3;
  }
  return sum;
}

/// Of all logits of some random tokens.
uint64_t checksum_of(const test::random_model_shape& shape, uint32_t num_tokens) {
  const auto m = test::make_random_model(shape);
  const backend_limits limits{.max_rows = num_tokens,
                              .max_logits = num_tokens,
                              .max_seqs = 1,
                              .max_context = num_tokens,
                              .num_blocks = (num_tokens + 15) / 16,
                              .num_threads = 2};
  const auto b = make_cpu_backend(m, limits).value();
  test::splitmix64 random(shape.seed);
  std::vector<token_id> tokens(num_tokens);
  for (token_id& t : tokens) t = static_cast<token_id>(random.below(m->hp.n_vocab));
  return checksum(solo_sequence(*b).next(tokens).value());
}

}  // namespace

TEST_SUITE("runtime.backend.cpu.checksum") {
  // One machine compares its own instruction sets; these numbers compare machines. They change
  // when the arithmetic does, and then the numerics id must change too.
  TEST_CASE("every tensor type gives the logits that every machine gives") {
    struct row {
      tensor_type type;
      uint64_t want;
    };
    const row table[] = {
        {tensor_type::f32, 0x18335265206ce148},    {tensor_type::f16, 0xb8423e02c5b641bd},
        {tensor_type::bf16, 0x137a9762ee156b59},   {tensor_type::q4_0, 0x83804837a40c4dc2},
        {tensor_type::q4_1, 0x7aeee3bdc93170fe},   {tensor_type::q5_0, 0xcbabb71951569d65},
        {tensor_type::q5_1, 0xdfab1f097014c8d1},   {tensor_type::q8_0, 0x28559ecd73c74283},
        {tensor_type::q2_k, 0x69f7ab0f4f2d7eaa},   {tensor_type::q3_k, 0x950a72d29004af51},
        {tensor_type::q4_k, 0x9475d0e088f37021},   {tensor_type::q5_k, 0x26dda7cd7a1c6a4a},
        {tensor_type::q6_k, 0x8300823dcbfacb39},   {tensor_type::iq4_nl, 0x91852cbf1ac0dfa2},
        {tensor_type::iq4_xs, 0x7415091302062f57},
    };
    CHECK(std::size(table) == all_tensor_types().size());
    for (const row& r : table) {
      CAPTURE(info_of(r.type).name);
      CHECK(checksum_of({.type = r.type}, 20) == r.want);
    }
  }

  TEST_CASE("so do the other architectures, and attention over several partitions") {
    CHECK(checksum_of({.arch = architecture::qwen2}, 20) == 0xb50c71257e533300);
    CHECK(checksum_of({.arch = architecture::qwen3}, 20) == 0x3ff2a02837efbe08);
    CHECK(checksum_of({.n_layers = 1, .n_ff = 256}, 530) == 0x772e93a96e6281ac);
  }
}
