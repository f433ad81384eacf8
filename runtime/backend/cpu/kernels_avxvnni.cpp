// Compiled with its own instruction set flags; see meson.build.
#include <immintrin.h>

#include "runtime/backend/cpu/kernels.hpp"

namespace llmos::cpu {

#define LLMOS_UNROLL _Pragma("GCC unroll 16")  // keeps accumulators in registers

namespace {
#include "runtime/backend/cpu/vec_avx2.hpp"

#include "runtime/backend/cpu/int_dot_avxvnni.hpp"

#include "runtime/backend/cpu/kernels_impl.hpp"
}  // namespace

const kernel_table kernels_avxvnni = make_table("avxvnni");

}  // namespace llmos::cpu
