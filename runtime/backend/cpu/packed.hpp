#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/gguf/file.hpp"

namespace llmos::cpu {

/// A weight matrix as the kernels read it. 16 outputs form a group: their rows of the file are
/// interleaved so that a vector lane is an output and one load brings the same four inputs of
/// all 16. A group is a row of units (`layout_of`), each a few 32-deep blocks of codes followed
/// by their scales, so that a kernel reads memory strictly forwards. Bits per weight equal the
/// file's, except that 6-bit scales take 8: Q3_K 3.56 (3.44), Q4_K 4.63 (4.5), Q5_K 5.63 (5.5),
/// IQ4_XS 4.31 (4.25). The last group is padded with zero weights.
struct packed_matrix {
  weight_format format = weight_format::f32;
  uint32_t n = 0;  ///< Outputs.
  uint32_t k = 0;  ///< Inputs.
  size_t group_bytes = 0;
  std::byte* data = nullptr;  ///< 64-byte aligned, owned by whoever packs.

  uint32_t n_groups() const { return (n + group_columns - 1) / group_columns; }
  uint64_t size_bytes() const { return uint64_t{n_groups()} * group_bytes; }
  bool is_float() const { return layout_of[static_cast<size_t>(format)].unit_k == 1; }
};

weight_format format_of(tensor_type type);

/// Shape and size of `t` packed; `data` is still null. Nothing when a size overflows.
std::optional<packed_matrix> plan_packing(const tensor_info& t);

/// Packs groups [begin, end) of `t` into `m`. REQUIRES: m was planned from t, m.data is zeroed.
void pack_groups(const tensor_info& t, const packed_matrix& m, uint32_t begin, uint32_t end);

}  // namespace llmos::cpu
