#pragma once

#include <cstdint>

namespace llmos::cpu {

/// Bytes a second that so many threads read together, each the best of three walks through its
/// share of 256 MiB. Takes a tenth of a second.
double read_speed(uint32_t num_threads);

}  // namespace llmos::cpu
