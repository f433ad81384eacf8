#include "runtime/backend/cpu/attention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/reference/ops.hpp"
#include "runtime/base/half.hpp"
#include "tests/support/allocation_meter.hpp"
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

/// Sequences that begin alike: all up to position 256, those of kinds 0 and 2 up to 496.
constexpr uint32_t kind_of[] = {0, 1, 0, 2, 1, 0, 2, 1};
constexpr uint32_t end_of[] = {530, 529, 513, 520, 524, 530, 515, 518};
constexpr uint32_t n_sequences = std::size(kind_of);

/// What sequences of each kind hold.
std::vector<inputs> inputs_of_kinds(const setup& s) {
  std::vector<inputs> out(3, inputs(s));
  const size_t width = size_t{s.n_kv_heads} * s.head_dim;
  for (const auto& [kind, first] : {std::pair{1u, 256u}, {2u, 496u}}) {
    for (size_t i = first * width; i < 512 * width; ++i) {
      out[kind].k[i] *= -0.5f;
      out[kind].v[i] += 1.0f;
    }
  }
  return out;
}

/// A step in which each of them has its last n rows below end_of.
struct step_of_many {
  setup s;
  uint32_t n;
  bool in_same_blocks;  ///< What is alike stands in the same blocks.
  uint32_t n_wanted;    ///< The last so many have logits: the last layer leaves out the others.

  std::vector<float> out = {};
  uint32_t n_items = 0;
  size_t n_allocations = 0;

  std::vector<block_id> blocks(uint32_t i) const {
    const uint32_t per_area = cpu::partition_keys / s.block_tokens;
    const uint32_t second = kind_of[i] == 1 ? 2 : 1, own = in_same_blocks ? 4 + i : 3 * i;
    std::vector<block_id> out;
    for (const uint32_t area :
         in_same_blocks ? std::array{0u, second, own} : std::array{own, own + 1, own + 2}) {
      for (uint32_t b = 0; b < per_area; ++b) out.push_back(area * per_area + b);
    }
    if (in_same_blocks && kind_of[i] == 2) out[2 * per_area - 1] = 4 * per_area - 1;
    return out;
  }

  void run(const std::vector<inputs>& in) {
    const hyperparameters hp = hp_of(s);
    backend_limits limits = limits_of(s);
    limits.num_blocks = cpu::partition_keys / s.block_tokens * 3 * n_sequences;
    auto pool = cpu::kv_pool::make(hp, limits).value();
    std::memset(pool.head(0, 0, 0), 0xff, pool.size_bytes());
    const uint32_t q_width = s.n_heads * s.head_dim;
    std::vector<std::vector<block_id>> tables;
    std::vector<sequence_rows> seqs;
    std::vector<uint32_t> logit_rows;
    std::vector<float> q;
    for (uint32_t i = 0; i < n_sequences; ++i) {
      tables.push_back(blocks(i));
      append(s, in[kind_of[i]], 0, end_of[i], tables[i], pool);
      const auto first = in[0].q.begin() + (end_of[i] - n) * q_width;
      q.insert(q.end(), first, first + n * q_width);
      if (i + n_wanted >= n_sequences) logit_rows.push_back(i * n);
    }
    for (uint32_t i = 0; i < n_sequences; ++i) {
      seqs.push_back({i * n, n, end_of[i] - n, tables[i]});
    }
    auto attention = cpu::attention::make(*s.kernels, hp, limits, s.n_workers).value();
    out.assign(q.size(), 0.0f);
    {
      const test::allocation_meter meter;  // threads that begin would be counted
      attention->plan({{}, seqs, logit_rows});
      n_allocations = meter.count();
    }
    auto workers = cpu::team::make(s.n_workers).value();
    const cpu::attention::layer_view view{layer, pool, q.data(), q_width, out.data()};
    n_items = attention->open(n_wanted < n_sequences);
    workers->for_each(n_items,
                      [&](uint32_t item, uint32_t worker) { attention->run(view, item, worker); });
  }

  /// Calls for `n` tiles that share a partition, and how many of the tiles those hold.
  std::pair<uint32_t, uint32_t> calls_for(uint32_t tiles) const {
    const uint32_t group = s.n_heads / s.n_kv_heads;
    const uint32_t most = std::min(s.kernels->max_attention_rows, 8 * group) / group;
    if (most < 2 || tiles < 2) return {0, 0};
    const bool is_left = most == 2 && tiles % 2 == 1;
    return {(tiles - (is_left ? 1 : 0) + most - 1) / most, tiles - (is_left ? 1 : 0)};
  }
  /// Items of a step of single rows that all are wanted.
  uint32_t expected_items() const {
    const auto [calls, sharing] = calls_for(n_sequences);
    if (!in_same_blocks || calls == 0) return n_sequences * s.n_kv_heads;
    uint32_t items = calls + 3 * n_sequences - sharing;
    for (const uint32_t tiles : {3u, 3u, 2u}) {
      items += calls_for(tiles).first - calls_for(tiles).second;
    }
    return items * s.n_kv_heads;
  }
};

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
    for (const kv_type kv : kv_types) {
      for (const uint32_t group : {1u, 3u}) {
        const setup base{.n_heads = 2 * group, .kv = kv};
        const auto in = inputs_of_kinds(base);
        std::vector<std::vector<float>> alone;
        for (const inputs& x : in) alone.push_back(run_chunks(base, x, context));
        const size_t width = size_t{base.n_heads} * base.head_dim;
        const auto check = [&](step_of_many step) {
          CAPTURE(name_of(kv));
          CAPTURE(group);
          CAPTURE(step.s.kernels->name);
          CAPTURE(step.s.block_tokens);
          CAPTURE(step.n);
          CAPTURE(step.in_same_blocks);
          CAPTURE(step.n_wanted);
          step.run(in);
          for (uint32_t i = n_sequences - step.n_wanted; i < n_sequences; ++i) {
            CAPTURE(i);
            const float* want = alone[kind_of[i]].data() + (end_of[i] - step.n) * width;
            const float* got = step.out.data() + i * step.n * width;
            CHECK(std::memcmp(got, want, step.n * width * sizeof(float)) == 0);
          }
          CHECK(step.n_allocations == 0);
          if (step.n == 1 && step.s.n_workers == 1 && step.n_wanted == n_sequences) {
            CHECK(step.n_items == step.expected_items());
          }
        };
        for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
          setup s = base;
          s.kernels = kernels;
          check({s, 1, true, n_sequences});
          check({s, 1, false, n_sequences});
          check({s, 1, true, 5});
          check({s, 2, true, n_sequences});
          s.n_workers = 3;
          check({s, 5, true, n_sequences});
          s.block_tokens = 64;
          check({s, 1, true, n_sequences});
          s.block_tokens = 256;
          check({s, 1, true, n_sequences});
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
