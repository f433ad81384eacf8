// All tables must give the bits of the portable one; the portable one must be close to a product
// in double with the decoded weights and the quantised activations.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "runtime/backend/cpu/activations.hpp"
#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/cpu/memory.hpp"
#include "tests/support/gguf_writer.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

/// A random matrix of some type: its blocks, decoded and packed.
struct test_matrix {
  std::vector<std::byte> blocks;
  std::vector<float> decoded;  ///< [n][k]
  cpu::packed_matrix packed;
  cpu::mapped_memory memory;
};

test_matrix make_matrix(tensor_type type, uint32_t n, uint32_t k, uint64_t seed) {
  test_matrix out;
  out.blocks = test::random_blocks(type, uint64_t{n} * k, seed, 1.0f);
  out.decoded.resize(size_t{n} * k);
  dequantize(type, out.blocks.data(), out.decoded);
  tensor_info t;
  t.type = type;
  t.n_dims = 2;
  t.dims[0] = k;
  t.dims[1] = n;
  t.data = out.blocks.data();
  t.n_bytes = out.blocks.size();
  out.packed = cpu::plan_packing(t).value();
  out.memory = cpu::mapped_memory::make(out.packed.size_bytes(), "a test matrix").value();
  out.packed.data = out.memory.data();
  cpu::pack_groups(t, out.packed, 0, out.packed.n_groups());
  return out;
}

std::vector<float> random_floats(size_t n, uint64_t seed) {
  test::splitmix64 random(seed);
  std::vector<float> out(n);
  for (float& x : out) x = (random.uniform() - 0.5f) * 6.0f;
  return out;
}

struct product {
  uint32_t rows;
  std::vector<float> bias;
  bool accumulate = false;
};

/// x[rows][k] · weights by one table, two calls that share the groups out.
std::vector<float> multiply(const cpu::kernel_table& kernels, const test_matrix& m,
                            const std::vector<float>& x, const product& p) {
  const cpu::packed_matrix& w = m.packed;
  cpu::act_panel panel{&w};
  std::vector<float> memory(panel.bytes(p.rows) / sizeof(float));
  panel.place(reinterpret_cast<std::byte*>(memory.data()), p.rows);
  for (uint32_t r = 0; r < p.rows; ++r) {
    panel.put_row(kernels, x.data() + size_t{r} * w.k, r, p.rows);
  }
  std::vector<float> out(size_t{p.rows} * w.n, 0.25f);
  cpu::matmul_args a{};
  a.weights = w.data;
  a.group_bytes = w.group_bytes;
  a.k = w.k;
  a.n = w.n;
  a.acts = panel.tiles(w, 0);
  a.rows = p.rows;
  a.out_stride = w.n;
  a.bias = p.bias.empty() ? nullptr : p.bias.data();
  a.accumulate = p.accumulate;
  const uint32_t half = w.n_groups() / 2;
  for (const auto& [begin, end] : {std::pair{0u, half}, {half, w.n_groups()}}) {
    a.group_begin = begin;
    a.group_end = end;
    a.out = out.data() + size_t{begin} * cpu::group_columns;
    kernels.matmul[static_cast<size_t>(w.format)](a);
  }
  return out;
}

/// What the activations are after quantisation, restated from the definition.
std::vector<double> quantised(const std::vector<float>& x) {
  std::vector<double> out;
  for (size_t b = 0; b < x.size(); b += 32) {
    float top = 0;
    for (size_t i = 0; i < 32; ++i) top = std::max(top, std::fabs(x[b + i]));
    const float d = top / 127.0f, inverse = top > 0 ? 127.0f / top : 0.0f;
    for (size_t i = 0; i < 32; ++i) out.push_back(double{d} * std::nearbyint(x[b + i] * inverse));
  }
  return out;
}

bool is_float(tensor_type type) {
  return info_of(type).block_elems == 1;
}

/// Widths that matter for a type: one unit, several, and odd ones where the type allows.
std::vector<uint32_t> widths_of(tensor_type type) {
  const uint32_t unit = info_of(type).block_elems;
  if (unit == 1) return {1, 70};
  return {unit, 3 * unit};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_SUITE("runtime.backend.cpu.matmul") {
  TEST_CASE("every type's product is the decoded weights times the quantised activations") {
    for (const type_info& type : all_tensor_types()) {
      CAPTURE(type.name);
      for (const uint32_t k : widths_of(type.type)) {
        const uint32_t n = 35, rows = 3;
        const test_matrix m = make_matrix(type.type, n, k, 5);
        const auto x = random_floats(size_t{rows} * k, 9);
        const auto got = multiply(cpu::kernels_portable, m, x, {rows, {}, false});
        const auto exact =
            is_float(type.type) ? std::vector<double>(x.begin(), x.end()) : quantised(x);
        for (uint32_t r = 0; r < rows; ++r) {
          for (uint32_t c = 0; c < n; ++c) {
            double want = 0, x_sum = 0, w_max = 0;
            for (uint32_t i = 0; i < k; ++i) {
              const double w = m.decoded[size_t{c} * k + i], a = exact[size_t{r} * k + i];
              want += w * a;
              x_sum += std::fabs(a);
              w_max = std::max(w_max, std::fabs(w));
            }
            // Per block three roundings of float32 (2^-24) of terms that are each at most about
            // twice the largest weight (scale and minimum cancel) times the activations' sum.
            const double tolerance = 6.0 * w_max * x_sum * 0x1p-22;
            REQUIRE(std::fabs(got[size_t{r} * n + c] - want) <= tolerance);
          }
        }
      }
    }
  }

  TEST_CASE("every instruction set gives the same bits, for any number of rows and columns") {
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      for (const type_info& type : all_tensor_types()) {
        CAPTURE(type.name);
        for (const uint32_t n : {1u, 16u, 35u}) {
          const uint32_t k = widths_of(type.type).back();
          const test_matrix m = make_matrix(type.type, n, k, 100 + n);
          const auto x = random_floats(size_t{17} * k, 7);
          const auto bias = random_floats(n, 8);
          const product whole{17, bias, true};
          const auto want = multiply(cpu::kernels_portable, m, x, whole);
          for (uint32_t rows = 1; rows <= 17; ++rows) {
            const auto got = multiply(*kernels, m, x, {rows, bias, true});
            // A row's result does not depend on how many rows it was computed with.
            REQUIRE(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0);
          }
        }
      }
    }
  }

  TEST_CASE("every instruction set gives the same bits over long inputs and many rows") {
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      if (kernels == &cpu::kernels_portable) continue;
      CAPTURE(kernels->name);
      for (const type_info& type : all_tensor_types()) {
        CAPTURE(type.name);
        const uint32_t n = 35, k = type.block_elems == 256 ? 1280 : 1056, rows = 157;
        const test_matrix m = make_matrix(type.type, n, k, 11);
        const auto x = random_floats(size_t{rows} * k, 12);
        const product p{rows, {}, false};
        const auto got = multiply(*kernels, m, x, p);
        // The portable kernels need seconds for all rows: every 13th, one at a time.
        for (uint32_t row = 0; row < rows; row += 13) {
          const std::vector<float> one(x.begin() + row * k, x.begin() + (row + 1) * k);
          const auto want = multiply(cpu::kernels_portable, m, one, {1, {}, false});
          REQUIRE(std::memcmp(&got[row * n], want.data(), n * sizeof(float)) == 0);
        }
      }
    }
  }

  TEST_CASE("the largest codes do not saturate") {
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      for (const type_info& type : all_tensor_types()) {
        if (is_float(type.type)) continue;
        CAPTURE(type.name);
        const uint32_t k = type.block_elems, n = 16;
        test_matrix m = make_matrix(type.type, n, k, 3);
        for (const int fill : {0x00, 0x80, 0xff}) {
          const cpu::weight_layout layout = cpu::layout_of[static_cast<size_t>(m.packed.format)];
          std::memset(m.packed.data, fill, size_t{layout.code_bytes} * (k / cpu::block_k));
          const product p{18, {}, false};
          std::vector<float> x(size_t{p.rows} * k, 1.0f);  // codes 127 and -127
          for (uint32_t i = 0; i < x.size(); ++i) x[i] = i / k % 2 == 0 ? 1.0f : -1.0f;
          CHECK(same_bits(multiply(*kernels, m, x, p), multiply(cpu::kernels_portable, m, x, p)));
        }
      }
    }
  }

  TEST_CASE("zero activations give zero, and a NaN or infinity is not lost") {
    const test_matrix m = make_matrix(tensor_type::q4_1, 16, 64, 4);
    for (const cpu::kernel_table* kernels : cpu::available_kernels()) {
      CAPTURE(kernels->name);
      std::vector<float> x(64, 0.0f);
      for (const float y : multiply(*kernels, m, x, {1, {}, false})) CHECK(y == 0.0f);
      x[5] = 1e-38f;
      for (const float y : multiply(*kernels, m, x, {1, {}, false})) CHECK(y == 0.0f);
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        x[40] = bad;
        for (const float y : multiply(*kernels, m, x, {1, {}, false})) CHECK(!std::isfinite(y));
      }
    }
  }

  TEST_CASE("a packed matrix takes the file's bits per weight, but for 6-bit scales") {
    for (const type_info& type : all_tensor_types()) {
      CAPTURE(type.name);
      tensor_info t;
      t.type = type.type;
      t.dims[0] = 2048;
      t.dims[1] = 64;
      const double file_bytes = 2048.0 * 64 / type.block_elems * type.block_bytes;
      const auto m = cpu::plan_packing(t);
      REQUIRE(m.has_value());
      CHECK(static_cast<double>(m->size_bytes()) <= file_bytes * 1.04);
    }
  }
}
