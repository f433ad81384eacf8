#pragma once

#include <cstdint>

namespace llmos {

/// Index into a model's vocabulary.
using token_id = int32_t;

/// Index of one fixed-size block of KV memory within an engine's pool.
using block_id = uint32_t;

}  // namespace llmos
