// Compiled with its own instruction set flags; see meson.build.
#include <immintrin.h>

#include "runtime/backend/cpu/kernels.hpp"

namespace llmos::cpu {

#define LLMOS_UNROLL _Pragma("GCC unroll 16")  // keeps accumulators in registers

namespace {
#include "runtime/backend/cpu/vec_avx512.hpp"

#include "runtime/backend/cpu/kernels_impl.hpp"

#include "runtime/backend/cpu/matmul_amx.hpp"
}  // namespace

const kernel_table kernels_amx = make_table<amx_matmul>("amx-int8", amx_rows);

}  // namespace llmos::cpu
