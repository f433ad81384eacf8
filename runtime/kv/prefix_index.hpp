#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/base/types.hpp"

namespace llmos {

/// Which cached block holds which tokens: chained hashes find a candidate, the tokens (and the
/// parent block) decide. Knows nothing of references or eviction.
class prefix_index {
public:
  explicit prefix_index(uint32_t block_tokens);
  // completed by the implementation

private:
  uint32_t block_tokens_;
};

}  // namespace llmos
