// Speed of the CPU kernels on one thread, with google-benchmark:
//
//   kernels_bench [--benchmark_filter=REGEX …] [KxN …]
//
// matmul/TYPE/TABLE/K/N/ROWS   rows times a matrix of K inputs and N outputs of that tensor type;
//                              bytes: packed weights read, macs: multiply-accumulates
// attend/KV/TABLE/HEAD_DIM/ROWS
//                              rows (query, head) times 4,096 keys of one of 64 heads, K and V of
//                              that type; bytes: K and V read, macs: of both products
//
// KxN replaces the shape 4096x4096, whose weights no second-level cache holds: with one row the
// rate of bytes is that of memory. A type that packs 256 inputs at a time needs K to be a multiple
// of 256, any other one but floats a multiple of 32.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/backend/cpu/activations.hpp"
#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/cpu/kv_pool.hpp"
#include "runtime/backend/cpu/memory.hpp"

using namespace llmos;

namespace {

struct shape {
  uint32_t k, n;
};

/// A packed matrix of zero blocks: the kernels take the same time for any weights.
struct matrix {
  cpu::packed_matrix packed;
  cpu::mapped_memory memory;
};

matrix make_matrix(tensor_type type, shape s) {
  const type_info& info = info_of(type);
  const std::vector<std::byte> blocks(size_t{s.n} * s.k / info.block_elems * info.block_bytes);
  tensor_info t;
  t.type = type;
  t.n_dims = 2;
  t.dims[0] = s.k;
  t.dims[1] = s.n;
  t.data = blocks.data();
  matrix out;
  out.packed = cpu::plan_packing(t).value();
  out.memory = cpu::mapped_memory::make(out.packed.size_bytes(), "the matrix").value();
  out.packed.data = out.memory.data();
  cpu::pack_groups(t, out.packed, 0, out.packed.n_groups());
  return out;
}

void set_rates(benchmark::State& state, double bytes, double macs) {
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["bytes"] = benchmark::Counter(bytes, rate);
  state.counters["macs"] = benchmark::Counter(macs, rate);
}

void matmul(benchmark::State& state, const cpu::kernel_table& kernels, tensor_type type, shape s,
            uint32_t rows) {
  const matrix m = make_matrix(type, s);
  const cpu::packed_matrix& w = m.packed;
  cpu::act_panel panel{&w};
  const auto acts = cpu::mapped_memory::make(panel.bytes(rows), "the rows").value();
  panel.place(acts.data(), rows);
  const std::vector<float> x(w.k, 1.0f);
  for (uint32_t r = 0; r < rows; ++r) panel.put_row(kernels, x.data(), r, rows);
  std::vector<float> out(size_t{rows} * w.n);
  cpu::matmul_args a{};
  a.weights = w.data;
  a.group_bytes = w.group_bytes;
  a.k = w.k;
  a.n = w.n;
  a.group_end = w.n_groups();
  a.acts = panel.tiles(w, 0);
  a.rows = rows;
  a.out = out.data();
  a.out_stride = w.n;
  const auto multiply = kernels.matmul[static_cast<size_t>(w.format)];
  for (auto _ : state) multiply(a);
  set_rates(state, static_cast<double>(w.size_bytes()), double{1} * rows * s.n * s.k);
}

/// Partition after partition of a long context, head after head, as a step of decoding reads them.
void attend(benchmark::State& state, const cpu::kernel_table& kernels, kv_type kv,
            uint32_t head_dim, uint32_t rows) {
  constexpr uint32_t context = 4096, n_partitions = context / cpu::partition_keys;
  hyperparameters hp;
  hp.n_layers = 16;
  hp.n_kv_heads = 4;
  hp.head_dim = head_dim;
  backend_limits limits;
  limits.kv = kv;
  limits.num_blocks = context / limits.block_tokens;
  const auto pool = cpu::kv_pool::make(hp, limits).value();
  std::fill_n(pool.head(0, 0, 0), pool.size_bytes(), std::byte{0x11});

  const std::vector<float> query(head_dim, 0.1f);
  const std::vector<const float*> q(rows, query.data());
  const std::vector<uint32_t> n_keys(rows, cpu::partition_keys);
  std::vector<float> scores(size_t{kernels.max_attention_rows} * cpu::partition_keys);
  std::vector<float> out(rows * size_t{head_dim + cpu::partial_extra});
  std::vector<std::byte> factors(cpu::attention_factor_bytes(kernels.max_attention_rows, head_dim));
  std::vector<const std::byte*> blocks(limits.num_blocks);
  cpu::attention_args a{};
  a.layout = &pool.layout();
  a.q = q.data();
  a.rows = rows;
  a.n_keys = n_keys.data();
  a.scores = scores.data();
  a.factors = factors.data();
  a.out = out.data();
  uint32_t head = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < limits.num_blocks; ++i) {
      blocks[i] = pool.head(i, head / hp.n_kv_heads, head % hp.n_kv_heads);
    }
    head = (head + 1) % (hp.n_layers * hp.n_kv_heads);
    for (uint32_t p = 0; p < n_partitions; ++p) {
      const uint32_t first = p * cpu::partition_keys / limits.block_tokens;
      a.blocks = blocks.data() + first;
      a.n_blocks = limits.num_blocks - first;
      cpu::kernels_for(kv, kernels).attend(a);
    }
  }
  const double bytes = double{1} * pool.layout().bytes * limits.num_blocks;
  set_rates(state, bytes, 2.0 * context * head_dim * rows);
}

void add_matmuls(shape s) {
  for (const type_info& type : all_tensor_types()) {
    const auto format = static_cast<size_t>(cpu::format_of(type.type));
    if (s.k % cpu::layout_of[format].unit_k != 0) continue;
    for (const cpu::kernel_table* table : cpu::available_kernels()) {
      for (const uint32_t rows : {1u, 4u, 16u, 64u}) {
        const auto name = "matmul/" + std::string{type.name} + "/" + table->name + "/" +
                          std::to_string(s.k) + "/" + std::to_string(s.n) + "/" +
                          std::to_string(rows);
        benchmark::RegisterBenchmark(name.c_str(), matmul, *table, type.type, s, rows)
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

void add_attention(kv_type kv) {
  for (const cpu::kernel_table* table : cpu::available_kernels()) {
    for (const uint32_t head_dim : {64u, 128u}) {
      for (const uint32_t rows : {1u, 3u, table->max_attention_rows}) {
        if (rows > table->max_attention_rows) continue;
        const auto name = "attend/" + std::string{name_of(kv)} + "/" + table->name + "/" +
                          std::to_string(head_dim) + "/" + std::to_string(rows);
        benchmark::RegisterBenchmark(name.c_str(), attend, *table, kv, head_dim, rows)
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

/// "576x1536", or 0x0.
shape parse_shape(std::string_view text) {
  shape s{};
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, s.k);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != 'x') return {};
  const auto second = std::from_chars(first.ptr + 1, end, s.n);
  if (second.ec != std::errc{} || second.ptr != end || s.k == 0 || s.n == 0) return {};
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  char min_time[] = "--benchmark_min_time=0.1";  // unless the command line says otherwise
  std::vector<char*> words{argv[0], min_time};
  words.insert(words.end(), argv + 1, argv + argc);
  int n_words = static_cast<int>(words.size());
  benchmark::Initialize(&n_words, words.data());  // takes its own options away
  std::vector<shape> shapes;
  for (int i = 1; i < n_words; ++i) {
    shapes.push_back(parse_shape(words[i]));
    if (shapes.back().k != 0) continue;
    std::fprintf(stderr, "usage: kernels_bench [--benchmark_filter=REGEX …] [KxN …]\n");
    return 2;
  }
  if (shapes.empty()) shapes.push_back({4096, 4096});
  for (const shape s : shapes) add_matmuls(s);
  for (const kv_type kv : {kv_type::f16, kv_type::q8_0}) add_attention(kv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
