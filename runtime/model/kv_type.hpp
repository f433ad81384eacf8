#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos {

/// How K and V are kept.
enum class kv_type : uint8_t {
  f16,   ///< 16-bit floats; the reference backend keeps 32 bits.
  q8_0,  ///< GGUF's Q8_0: an int8 code per value, an f16 scale per 32 values along head_dim.
};

/// "f16", "q8_0".
std::string_view name_of(kv_type type);

/// The type of that name. Errors: invalid_argument (names the known ones).
result<kv_type> kv_type_named(std::string_view name);

/// Bytes of K, or of V, of one head at one position.
uint64_t kv_head_bytes(kv_type type, uint32_t head_dim);

}  // namespace llmos
