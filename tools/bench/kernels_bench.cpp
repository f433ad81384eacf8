// Speed of the CPU kernels on one thread: kernels_bench [type [k [n [seconds]]]], by default all
// types, k = n = 2048, 0.05 s a figure. A line for every weight type and instruction set: packed
// weight bytes read per second with one row (decoding), then 10^9 multiply-accumulates per second
// with 1, 4, 16 and 64 rows, each followed by its ratio to portable code. The best round counts,
// as neighbours on the machine only slow it down; n · k decides which cache the weights fit.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/backend/cpu/activations.hpp"
#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/cpu/memory.hpp"

using namespace llmos;

namespace {

using seconds = std::chrono::duration<double>;

struct options {
  std::string type = "all";
  uint32_t k = 2048, n = 2048;
  double time_s = 0.05;
};

/// A packed matrix of zero blocks: the kernels take the same time for any weights.
struct matrix {
  std::vector<std::byte> blocks;
  cpu::packed_matrix packed;
  cpu::mapped_memory memory;
};

matrix make_matrix(tensor_type type, const options& o) {
  matrix out;
  const type_info& info = info_of(type);
  out.blocks.resize(size_t{o.n} * o.k / info.block_elems * info.block_bytes);
  tensor_info t;
  t.type = type;
  t.n_dims = 2;
  t.dims[0] = o.k;
  t.dims[1] = o.n;
  t.data = out.blocks.data();
  out.packed = cpu::plan_packing(t).value();
  out.memory = cpu::mapped_memory::make(out.packed.size_bytes(), "the matrix").value();
  out.packed.data = out.memory.data();
  cpu::pack_groups(t, out.packed, 0, out.packed.n_groups());
  return out;
}

/// Seconds of one product of `rows` rows, best of the rounds.
double time_product(const cpu::kernel_table& kernels, const matrix& m, uint32_t rows,
                    double time_s) {
  const cpu::packed_matrix& w = m.packed;
  cpu::act_panel panel{&w};
  std::vector<float> memory(panel.bytes(rows) / sizeof(float)), x(w.k, 1.0f);
  panel.place(reinterpret_cast<std::byte*>(memory.data()), rows);
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
  double best = 1e9, spent = 0;
  while (spent < time_s) {
    const auto start = std::chrono::steady_clock::now();
    kernels.matmul[static_cast<size_t>(w.format)](a);
    const double took = seconds(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, took);
    spent += took;
  }
  return best;
}

void bench_type(const type_info& type, const options& o) {
  constexpr uint32_t row_counts[] = {1, 4, 16, 64};
  const matrix m = make_matrix(type.type, o);
  std::vector<double> portable;
  for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
    std::vector<double> took;
    for (const uint32_t rows : row_counts) {
      took.push_back(time_product(*kernels, m, rows, o.time_s));
    }
    if (kernels == &cpu::kernels_portable) portable = took;
    const auto bytes = static_cast<double>(m.packed.size_bytes());
    std::printf("%-7s %-12s %6.1f GB/s  GMAC/s", type.name.data(), kernels->name,
                1e-9 * bytes / took[0]);
    for (size_t i = 0; i < took.size(); ++i) {
      const double macs = double{1e-9} * row_counts[i] * o.n * o.k;
      std::printf(" %6.1f (%.0fx)", macs / took[i], portable[i] / took[i]);
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  if (argc > 1) o.type = argv[1];
  if (argc > 2) o.k = static_cast<uint32_t>(std::atoi(argv[2]));
  if (argc > 3) o.n = static_cast<uint32_t>(std::atoi(argv[3]));
  if (argc > 4) o.time_s = std::atof(argv[4]);
  if (argc > 5 || o.k == 0 || o.k % 256 != 0 || o.n == 0 || !(o.time_s > 0)) {
    std::fprintf(stderr, "usage: kernels_bench [type|all [k [n [seconds]]]], 256 divides k\n");
    return 2;
  }
  bool found = false;
  for (const type_info& type : all_tensor_types()) {
    if (o.type != "all" && o.type != type.name) continue;
    bench_type(type, o);
    found = true;
  }
  if (found) return 0;
  std::fprintf(stderr, "no tensor type is called '%s'; try Q4_0 or all\n", o.type.c_str());
  return 2;
}
