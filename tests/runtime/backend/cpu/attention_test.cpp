#include "runtime/backend/cpu/attention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/reference/ops.hpp"
#include "runtime/base/half.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

struct setup {
  const cpu::kernel_table* kernels = &cpu::kernels_portable;
  uint32_t n_heads = 6, n_kv_heads = 2, head_dim = 24;
  uint32_t block_tokens = 16;
  uint32_t n_workers = 1;
  kv_type kv = kv_type::f16;
};
constexpr kv_type kv_types[] = {kv_type::f16, kv_type::q8_0};

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

backend_limits limits_of(const setup& s) {
  backend_limits limits;
  limits.max_rows = context;
  limits.max_context = context;
  limits.block_tokens = s.block_tokens;
  limits.kv = s.kv;
  limits.num_blocks = (context + s.block_tokens - 1) / s.block_tokens;
  return limits;
}

constexpr uint32_t layer = 1;

/// Writes K and V of positions [begin, end) into the blocks of a sequence.
void append(const setup& s, const inputs& in, uint32_t begin, uint32_t end,
            std::span<const block_id> blocks, cpu::kv_pool& pool) {
  const cpu::kv_kernels& kv = cpu::kernels_for(s.kv, *s.kernels);
  for (uint32_t pos = begin; pos < end; ++pos) {
    for (uint32_t h = 0; h < s.n_kv_heads; ++h) {
      std::byte* block = pool.head(blocks[pos / s.block_tokens], layer, h);
      const size_t at = (size_t{pos} * s.n_kv_heads + h) * s.head_dim;
      const uint32_t slot = pos % s.block_tokens;
      kv.append_k(in.k.data() + at, pool.layout(), slot, block);
      kv.append_v(in.v.data() + at, pool.layout(), slot, block);
    }
  }
}

/// Attention of positions 0 … context-1 that arrive in chunks; block ids are scattered, and the
/// pool starts full of NaN, so a key that may not be seen would show.
std::vector<float> run_chunks(const setup& s, const inputs& in, uint32_t chunk) {
  const hyperparameters hp = hp_of(s);
  const backend_limits limits = limits_of(s);
  auto pool = cpu::kv_pool::make(hp, limits).value();
  std::memset(pool.head(0, 0, 0), 0xff, pool.size_bytes());
  auto workers = cpu::team::make(s.n_workers).value();
  auto attention = cpu::attention::make(*s.kernels, hp, limits, s.n_workers).value();
  std::vector<block_id> blocks(limits.num_blocks);
  std::iota(blocks.rbegin(), blocks.rend(), 0u);

  const uint32_t q_width = s.n_heads * s.head_dim;
  std::vector<float> out(size_t{context} * q_width);
  for (uint32_t past = 0; past < context; past += chunk) {
    const uint32_t n = std::min(chunk, context - past);
    append(s, in, past, past + n, blocks, pool);
    const sequence_rows seq{0, n, past, blocks};
    attention->plan({{}, {&seq, 1}, {}});
    const cpu::attention::layer_view view{layer, pool, in.q.data() + size_t{past} * q_width,
                                          q_width, out.data() + size_t{past} * q_width};
    workers->for_each(attention->open(false),
                      [&](uint32_t item, uint32_t worker) { attention->run(view, item, worker); });
  }
  return out;
}

/// What one step of several sequences gives, and the items that it takes.
struct step_result {
  std::vector<float> out;
  uint32_t n_items;
};

/// One step of sequences of the same tokens, in which each has its last n rows, below `ends`. All
/// hold the first partition in the same blocks; of the second there are two copies, of which the
/// last two sequences have the second; the rest is each one's own.
step_result run_sharing(const setup& s, const inputs& in, std::span<const uint32_t> ends,
                        uint32_t n) {
  constexpr uint32_t per_partition = cpu::partition_keys / 16;
  const auto count = static_cast<uint32_t>(ends.size());
  const hyperparameters hp = hp_of(s);
  backend_limits limits = limits_of(s);
  limits.num_blocks = per_partition * (3 + count);
  auto pool = cpu::kv_pool::make(hp, limits).value();
  std::memset(pool.head(0, 0, 0), 0xff, pool.size_bytes());
  const uint32_t q_width = s.n_heads * s.head_dim;
  std::vector<std::vector<block_id>> blocks(count);
  std::vector<sequence_rows> seqs;
  std::vector<float> q;
  for (uint32_t i = 0; i < count; ++i) {
    for (const uint32_t area : {0u, i + 2 < count ? 1u : 2u, 3 + i}) {
      for (uint32_t b = 0; b < per_partition; ++b) blocks[i].push_back(area * per_partition + b);
    }
    append(s, in, 0, ends[i], blocks[i], pool);
    seqs.push_back({i * n, n, ends[i] - n, blocks[i]});
    const auto first = in.q.begin() + (ends[i] - n) * q_width;
    q.insert(q.end(), first, first + n * q_width);
  }
  auto workers = cpu::team::make(s.n_workers).value();
  auto attention = cpu::attention::make(*s.kernels, hp, limits, s.n_workers).value();
  std::vector<float> out(q.size());
  attention->plan({{}, seqs, {}});
  const cpu::attention::layer_view view{layer, pool, q.data(), q_width, out.data()};
  const uint32_t n_items = attention->open(false);
  workers->for_each(n_items,
                    [&](uint32_t item, uint32_t worker) { attention->run(view, item, worker); });
  return {out, n_items};
}

/// Heads as the cache keeps them.
std::vector<float> as_kept(kv_type kv, uint32_t head_dim, std::vector<float> heads) {
  for (size_t at = 0; at < heads.size(); at += head_dim) {
    const auto head = std::span(heads).subspan(at, head_dim);
    if (kv == kv_type::q8_0) {
      reference::round_to_q8_0(head);
    } else {
      for (float& x : head) x = half_to_float(float_to_half(x));
    }
  }
  return heads;
}

/// The definition, in double over what the cache keeps.
std::vector<double> expected(const setup& s, const inputs& in) {
  const auto k = as_kept(s.kv, s.head_dim, in.k), v = as_kept(s.kv, s.head_dim, in.v);
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
        for (uint32_t d = 0; d < s.head_dim; ++d) weight[key] += double{q[d]} * k[at(key) + d];
      }
      const double top = *std::max_element(weight.begin(), weight.end());
      double sum = 0;
      for (double& w : weight) sum += w = std::exp(w - top);
      for (uint32_t d = 0; d < s.head_dim; ++d) {
        double value = 0;
        for (uint32_t key = 0; key <= pos; ++key) value += weight[key] * v[at(key) + d];
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
    for (const kv_type kv : kv_types) {
      for (const uint32_t head_dim : {24u, 80u}) {  // neither is whole blocks of 32
        CAPTURE(name_of(kv));
        CAPTURE(head_dim);
        const setup s{.head_dim = head_dim, .kv = kv};
        const inputs in(s);
        const auto got = run_chunks(s, in, 100);
        const auto want = expected(s, in);
        REQUIRE(got.size() == want.size());
        double worst = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          worst = std::max(worst, std::fabs(got[i] - want[i]));
        }
        // Scores up to about 80 in float32 are off by 80 · 2^-22, values are at most 2. For q8_0
        // queries and probabilities are rounded to 1 / (127 · 128) of the largest.
        CAPTURE(worst);
        CHECK(worst < (kv == kv_type::f16 ? 1e-4 : 3e-3));
      }
    }
  }

  TEST_CASE("every table keeps K and V of q8_0 as the reference rounds them") {
    for (const uint32_t head_dim : {18u, 24u, 64u, 80u, 96u, 128u}) {
      CAPTURE(head_dim);
      hyperparameters hp;
      hp.n_layers = hp.n_kv_heads = 1;
      hp.head_dim = head_dim;
      backend_limits limits;
      limits.block_tokens = 64;
      limits.num_blocks = 1;
      limits.kv = kv_type::q8_0;
      auto pool = cpu::kv_pool::make(hp, limits).value();
      const cpu::kv_layout& l = pool.layout();
      std::byte* head = pool.head(0, 0, 0);
      const auto scale_at = [&](size_t at) {
        uint16_t half;
        std::memcpy(&half, head + at, sizeof half);
        return half_to_float(half);
      };
      test::splitmix64 random(head_dim);
      for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
        CAPTURE(kernels->name);
        for (const uint32_t slot : {0u, 7u, 16u, 63u}) {
          std::vector<float> x(head_dim), k(head_dim), v(head_dim);
          const float size = std::exp2(static_cast<float>(slot % 16) - 12.0f);
          for (float& y : x) y = (random.uniform() - 0.5f) * size;
          if (slot == 0) std::fill(x.begin(), x.end(), 0.0f);
          kernels->kv_q8_0.append_k(x.data(), l, slot, head);
          kernels->kv_q8_0.append_v(x.data(), l, slot, head);
          const size_t first = slot / 16 * 16, column = slot % 16;
          for (uint32_t d = 0; d < head_dim; ++d) {
            const uint32_t part = d / 32;
            const size_t quad = first * l.head_dim_padded + 64 * (d / 4) + 4 * column;
            k[d] = scale_at(l.k_scales + 2 * (first * l.parts + 16 * part + column)) *
                   static_cast<float>(static_cast<int>(head[quad + d % 4]) - 128);
            const size_t v_quad = l.v + slot / 4 * 4 * l.head_dim_padded + 4 * d;
            v[d] = scale_at(l.v_scales + 2 * (part * l.block_tokens + slot)) *
                   static_cast<float>(static_cast<int>(head[v_quad + slot % 4]) - 128);
          }
          reference::round_to_q8_0(x);
          CHECK(k == x);
          CHECK(v == x);
        }
      }
    }
  }

  TEST_CASE("a NaN in K or V is not hidden") {
    for (const kv_type kv : kv_types) {
      for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
        CAPTURE(name_of(kv));
        CAPTURE(kernels->name);
        const setup s{.kernels = kernels, .n_heads = 1, .n_kv_heads = 1, .kv = kv};
        for (const bool in_k : {true, false}) {
          inputs in(s);
          (in_k ? in.k : in.v)[300 * s.head_dim + 5] = NAN;
          const auto out = run_chunks(s, in, context);
          const auto is_nan = [](float x) { return std::isnan(x); };
          const auto seen = out.begin() + 300 * s.head_dim;
          CHECK(std::none_of(out.begin(), seen, is_nan));
          CHECK(std::any_of(seen, seen + s.head_dim, is_nan));
          CHECK(std::any_of(out.end() - s.head_dim, out.end(), is_nan));
        }
      }
    }
  }

  TEST_CASE("chunks, workers, instruction set and block size do not change a bit") {
    for (const kv_type kv : kv_types) {
      CAPTURE(name_of(kv));
      const setup base{.kv = kv};
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
  }

  TEST_CASE("partitions that sequences share are computed together, to the same bits") {
    constexpr uint32_t ends[] = {530, 529, 513, 520, 524, 530};
    for (const kv_type kv : kv_types) {
      const setup base{.kv = kv};
      const inputs in(base);
      const auto alone = run_chunks(base, in, context);
      const size_t width = size_t{base.n_heads} * base.head_dim;
      for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
        for (const uint32_t n_workers : {1u, 3u}) {
          for (const uint32_t n :
               {1u, 2u, 5u}) {  // 3 query heads: 5 rows fill a call by themselves
            CAPTURE(name_of(kv));
            CAPTURE(kernels->name);
            CAPTURE(n_workers);
            CAPTURE(n);
            setup s = base;
            s.kernels = kernels;
            s.n_workers = n_workers;
            const auto got = run_sharing(s, in, ends, n);
            std::vector<float> want;
            for (const uint32_t end : ends) {
              const auto first = alone.begin() + static_cast<ptrdiff_t>((end - n) * width);
              want.insert(want.end(), first, first + static_cast<ptrdiff_t>(n * width));
            }
            CHECK(same_bits(got.out, want));
            // Twelve rows are four sequences: 4 and 2 of them in either partition, for each of two
            // KV heads, then six times the last partition.
            if (kernels->max_attention_rows == 12 && n == 1) CHECK(got.n_items == (4 + 6) * 2);
          }
        }
      }
    }
  }

  TEST_CASE("every number of query heads for each KV head agrees with portable code") {
    for (const kv_type kv : kv_types) {
      for (const uint32_t group : {1u, 4u, 5u, 7u, 8u}) {
        CAPTURE(name_of(kv));
        CAPTURE(group);
        setup s{.n_heads = group, .n_kv_heads = 1, .head_dim = 40, .kv = kv};
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
}
