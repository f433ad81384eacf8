#pragma once

#include <cstdint>

#include "runtime/base/checked.hpp"

namespace llmos::gpu {

/// Gives out places in one allocation, one after the other, each as aligned as cudaMalloc's.
class places {
public:
  /// Where the next `n_bytes` go.
  uint64_t take(uint64_t n_bytes) {
    const uint64_t at = end_;
    end_ = ceil_div(at + n_bytes, alignment) * alignment;
    return at;
  }
  /// What all of them need.
  uint64_t end() const { return end_; }

private:
  static constexpr uint64_t alignment = 256;
  uint64_t end_ = 0;
};

}  // namespace llmos::gpu
