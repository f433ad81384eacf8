#pragma once

#include <vector>

#include "runtime/sampling/passes.hpp"

namespace llmos {

/// Tables that this processor and operating system can run, slowest first.
std::vector<const pass_table*> available_passes();

/// The fastest table, or the one that the environment variable LLMOS_CPU names. What else it may
/// name is for the compute kernels (runtime/backend/cpu/dispatch.hpp), which refuse what is wrong.
const pass_table& choose_passes();

}  // namespace llmos
