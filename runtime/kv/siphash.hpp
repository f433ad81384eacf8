#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace llmos {

struct siphash_key {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
};

/// SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
uint64_t siphash_2_4(siphash_key key, std::span<const std::byte> bytes);

}  // namespace llmos
