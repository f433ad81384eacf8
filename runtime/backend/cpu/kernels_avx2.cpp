// Compiled with its own instruction set flags; see meson.build.
#include <immintrin.h>

#include "runtime/backend/cpu/kernels.hpp"

namespace llmos::cpu {

#define LLMOS_UNROLL _Pragma("GCC unroll 16")  // keeps accumulators in registers

namespace {
#include "runtime/backend/cpu/vec_avx2.hpp"

#include "runtime/backend/cpu/int_dot_avx2.hpp"

#include "runtime/backend/cpu/kernels_impl.hpp"
}  // namespace

const kernel_table kernels_avx2 = make_table("avx2");

}  // namespace llmos::cpu
