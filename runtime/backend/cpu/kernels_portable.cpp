// Compiled with its own instruction set flags; see meson.build.

#include "runtime/backend/cpu/kernels.hpp"

namespace llmos::cpu {

// Constant loops over rows stay loops here: unrolled they only cost compile time.
#define LLMOS_UNROLL

namespace {
#include "runtime/backend/cpu/vec_portable.hpp"

#include "runtime/backend/cpu/kernels_impl.hpp"
}  // namespace

const kernel_table kernels_portable = make_table("portable");

}  // namespace llmos::cpu
