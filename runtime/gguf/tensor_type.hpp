#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace llmos {

/// Storage types of GGUF tensors that llmos reads; values are GGUF's own type numbers.
enum class tensor_type : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
};

/// Layout of one storage type. A row is a whole number of blocks.
struct type_info {
  tensor_type type;
  std::string_view name;  ///< "Q4_K", as llama.cpp prints it.
  uint32_t block_elems;   ///< Weights in one block (1 for float types).
  uint32_t block_bytes;   ///< Bytes of one block in the file.
};

/// All types that llmos reads, in GGUF order.
std::span<const type_info> all_tensor_types();

/// Layout of `type`. REQUIRES: one of the enumerators.
const type_info& info_of(tensor_type type);

/// The type with GGUF number `raw`, or nothing when llmos does not read it.
std::optional<tensor_type> tensor_type_from_raw(uint32_t raw);

/// Name of any GGUF type number for error texts ("IQ2_XXS", or "type 77").
std::string raw_type_name(uint32_t raw);

/// Decodes `out.size()` weights of `type` from `data` (unaligned) to float32.
/// The scalar definition of each format; every backend's kernels are tested against it.
/// REQUIRES: out.size() is a multiple of block_elems and data holds that many blocks.
void dequantize(tensor_type type, const std::byte* data, std::span<float> out);

}  // namespace llmos
