#include "runtime/backend/cpu/attention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/base/half.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

struct setup {
  const cpu::kernel_table* kernels = &cpu::kernels_portable;
  uint32_t n_heads = 6, n_kv_heads = 2, head_dim = 24;
  uint32_t block_tokens = 16;
  uint32_t n_workers = 1;
};

constexpr uint32_t context = 530;  // three partitions, the last one partly filled

hyperparameters hp_of(const setup& s) {
  hyperparameters hp;
  hp.n_layers = 2;
  hp.n_heads = s.n_heads;
  hp.n_kv_heads = s.n_kv_heads;
  hp.head_dim = s.head_dim;
  return hp;
}

/// Random Q, K, V of `context` positions: [position][head][head_dim].
struct inputs {
  std::vector<float> q, k, v;
  explicit inputs(const setup& s) {
    test::splitmix64 random(11);
    for (auto [x, heads] : {std::pair{&q, s.n_heads}, {&k, s.n_kv_heads}, {&v, s.n_kv_heads}}) {
      x->resize(size_t{context} * heads * s.head_dim);
      for (float& y : *x) y = (random.uniform() - 0.5f) * 4.0f;
    }
  }
};

/// Attention of positions 0 … context-1 that arrive in chunks; block ids are scattered, and the
/// pool starts full of NaN, so a key that may not be seen would show.
std::vector<float> run_chunks(const setup& s, const inputs& in, uint32_t chunk) {
  const hyperparameters hp = hp_of(s);
  backend_limits limits;
  limits.max_rows = context;
  limits.max_context = context;
  limits.block_tokens = s.block_tokens;
  limits.num_blocks = (context + s.block_tokens - 1) / s.block_tokens;
  auto pool = cpu::kv_pool::make(hp, limits).value();
  std::memset(pool.head(0, 0, 0), 0xff, pool.size_bytes());
  auto workers = cpu::team::make(s.n_workers).value();
  auto attention = cpu::attention::make(*s.kernels, hp, limits, s.n_workers).value();
  std::vector<block_id> blocks(limits.num_blocks);
  std::iota(blocks.rbegin(), blocks.rend(), 0u);

  const uint32_t layer = 1, q_width = s.n_heads * s.head_dim, kv_width = s.n_kv_heads * s.head_dim;
  std::vector<float> out(size_t{context} * q_width);
  for (uint32_t past = 0; past < context; past += chunk) {
    const uint32_t n = std::min(chunk, context - past);
    for (uint32_t pos = past; pos < past + n; ++pos) {
      for (uint32_t h = 0; h < s.n_kv_heads; ++h) {
        std::byte* block = pool.head(blocks[pos / s.block_tokens], layer, h);
        const size_t at = size_t{pos} * kv_width + size_t{h} * s.head_dim;
        const uint32_t slot = pos % s.block_tokens;
        s.kernels->append_k(in.k.data() + at, pool.layout(), slot, block);
        s.kernels->append_v(in.v.data() + at, pool.layout(), slot, block);
      }
    }
    const sequence_rows seq{0, n, past, blocks};
    attention->plan({{}, {&seq, 1}, {}});
    const cpu::attention::layer_view view{layer, pool, in.q.data() + size_t{past} * q_width,
                                          q_width, out.data() + size_t{past} * q_width};
    workers->for_each(attention->open(false),
                      [&](uint32_t item, uint32_t worker) { attention->run(view, item, worker); });
  }
  return out;
}

/// The definition, in double over K and V as float16 keeps them.
std::vector<double> expected(const setup& s, const inputs& in) {
  const auto as_half = [](float x) { return double{half_to_float(float_to_half(x))}; };
  const uint32_t group = s.n_heads / s.n_kv_heads;
  std::vector<double> out;
  for (uint32_t pos = 0; pos < context; ++pos) {
    for (uint32_t h = 0; h < s.n_heads; ++h) {
      const float* q = in.q.data() + (size_t{pos} * s.n_heads + h) * s.head_dim;
      const auto at = [&](uint32_t key) {
        return (size_t{key} * s.n_kv_heads + h / group) * s.head_dim;
      };
      std::vector<double> weight(pos + 1);
      for (uint32_t key = 0; key <= pos; ++key) {
        for (uint32_t d = 0; d < s.head_dim; ++d) weight[key] += q[d] * as_half(in.k[at(key) + d]);
      }
      const double top = *std::max_element(weight.begin(), weight.end());
      double sum = 0;
      for (double& w : weight) sum += w = std::exp(w - top);
      for (uint32_t d = 0; d < s.head_dim; ++d) {
        double value = 0;
        for (uint32_t key = 0; key <= pos; ++key) value += weight[key] * as_half(in.v[at(key) + d]);
        out.push_back(value / sum);
      }
    }
  }
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_SUITE("runtime.backend.cpu.attention") {
  TEST_CASE("attention over pages is the softmax-weighted sum of the values") {
    const setup s;
    const inputs in(s);
    const auto got = run_chunks(s, in, 100);
    const auto want = expected(s, in);
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::fabs(got[i] - want[i]));
    // Scores up to about 40 in float32 are off by 40 · 2^-22, values are at most 2.
    CHECK(worst < 5e-5);
  }

  TEST_CASE("chunks, workers, instruction set and block size do not change a bit") {
    const setup base;
    const inputs in(base);
    const auto want = run_chunks(base, in, context);
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      struct row {
        uint32_t chunk, n_workers, block_tokens;
      };
      for (const row& r : {row{7, 3, 64}, row{64, 1, 16}, row{300, 2, 256}, row{1, 2, 16}}) {
        if (kernels == &cpu::kernels_portable && r.chunk != 7) continue;  // slow
        CAPTURE(r.chunk);
        setup s = base;
        s.kernels = kernels;
        s.n_workers = r.n_workers;
        s.block_tokens = r.block_tokens;
        CHECK(same_bits(run_chunks(s, in, r.chunk), want));
      }
    }
  }

  TEST_CASE("every number of query heads for each KV head agrees with portable code") {
    for (const uint32_t group : {1u, 4u, 5u, 7u, 8u}) {
      CAPTURE(group);
      setup s{.n_heads = group, .n_kv_heads = 1, .head_dim = 40};
      const inputs in(s);
      const auto want = run_chunks(s, in, 350);
      for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
        if (kernels == &cpu::kernels_portable) continue;
        CAPTURE(kernels->name);
        s.kernels = kernels;
        CHECK(same_bits(run_chunks(s, in, 350), want));
        CHECK(same_bits(run_chunks(s, in, 5), want));
      }
    }
  }
}
