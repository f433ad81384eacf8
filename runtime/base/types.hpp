#pragma once

#include <cstdint>

namespace llmos {

/// Index into a model's vocabulary.
using token_id = int32_t;

/// Index of one fixed-size block of KV memory within an engine's pool.
using block_id = uint32_t;

/// The content of one block goes to another one. Ids behind the pool's are blocks of the host.
struct block_move {
  block_id from = 0, to = 0;
  friend bool operator==(const block_move&, const block_move&) = default;
};

}  // namespace llmos
