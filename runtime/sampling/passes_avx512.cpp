// Compiled with its own instruction set flags; see meson.build.
#include "runtime/sampling/passes.hpp"

namespace llmos {

namespace {
#include "runtime/sampling/passes_impl.hpp"
}  // namespace

const pass_table passes_avx512 = make_passes("avx512");

}  // namespace llmos
