#pragma once

#include <cstddef>
#include <cstdint>

namespace llmos::cpu {

// The border between the backend and its instruction sets. This header is included by files that
// are compiled with different flags, so it holds plain data only: an inline function or a std
// template here could be emitted with AVX-512 and then be picked by the linker for everybody.

/// Outputs (columns of a matmul) that stand side by side in one packed group.
constexpr uint32_t group_columns = 16;
/// Weights along k that share one integer dot product and one activation scale.
constexpr uint32_t block_k = 32;
/// Keys of one attention partition; partitions are always joined in ascending order.
constexpr uint32_t partition_keys = 256;
/// How many keys before they are read K and V are asked for.
constexpr uint32_t ahead_keys = 64;

/// How a packed matrix stores its weights: GGUF's formats, regrouped (see packed.hpp).
enum class weight_format : uint8_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  count_,
};

/// Size of the smallest independent piece of a packed group: 16 columns × `unit_k` weights.
struct weight_layout {
  uint16_t unit_k;
  uint16_t unit_bytes;
  uint16_t code_bytes;  ///< Of each 32 weights; the scales follow all codes of the unit.
};
constexpr weight_layout layout_of[] = {
    {1, 64, 0},       {1, 32, 0},       {1, 32, 0},        // f32 f16 bf16
    {32, 288, 256},   {32, 320, 256},   {32, 352, 320},    // q4_0 q4_1 q5_0
    {32, 384, 320},   {32, 544, 512},   {256, 1344, 128},  // q5_1 q8_0 q2_k
    {256, 1824, 192}, {256, 2368, 256}, {256, 2880, 320},  // q3_k q4_k q5_k
    {256, 3360, 384}, {32, 288, 256},   {256, 2208, 256},  // q6_k iq4_nl iq4_xs
};
static_assert(sizeof layout_of / sizeof *layout_of == static_cast<size_t>(weight_format::count_));

/// Activations for the integer kernels, one block of `block_k` of R rows that are computed
/// together: R × 32 int8 codes, R float scales d, R pairs of int16 code sums (first and second
/// half), R floats d · sum. A tile of R rows is k/32 such blocks; tiles follow each other.
constexpr uint32_t act_block_bytes = 32 + 4 + 4 + 4;  // per row

/// One product out[row, column] = Σ_k act[row, k] · weight[column, k] over a range of groups.
struct matmul_args {
  const std::byte* weights;  ///< Packed matrix, group 0.
  size_t group_bytes;        ///< Distance of two groups.
  uint32_t k;                ///< Inputs.
  uint32_t n;                ///< Outputs; the last group may be partly padding.
  uint32_t group_begin, group_end;
  const std::byte* acts;  ///< Tiles of the first row (integer or float panel).
  uint32_t rows;
  float* out;  ///< out[row · out_stride + column - 16 · group_begin]
  size_t out_stride;
  const float* bias;  ///< [n], or nullptr.
  bool accumulate;    ///< Adds to out instead of overwriting it.
};

/// How one KV head keeps its K and V in one block, in bytes from where the head begins there.
///
/// f16: K is [head_dim][block_tokens], V is [block_tokens][head_dim_padded].
///
/// q8_0: value = scale · (code - 128), an f16 scale for each `block_k` of head_dim, codes in quads
/// that one step of an integer dot takes. K is a group of columns for each 16 positions, as packed
/// weights are, codes [head_dim_padded / 4][16][4], scales [block_tokens / 16][parts][16]. V is
/// codes [block_tokens / 4][head_dim_padded][4], scales [parts][block_tokens].
struct kv_layout {
  uint32_t block_tokens, block_shift;     ///< 2^block_shift positions.
  uint32_t head_dim, head_dim_padded;     ///< Padded to whole vectors.
  uint32_t parts;                         ///< ceil(head_dim / block_k)
  uint32_t k_scales;                      ///< q8_0 only.
  uint32_t v;                             ///< Where V begins, after all of K.
  uint32_t v_scales;                      ///< q8_0 only.
  uint32_t bytes;                         ///< Of both.
  uint32_t k_token_bytes, v_token_bytes;  ///< A position's share of them.
};

/// One partition of keys for up to `max_attention_rows` rows (query, head) of one KV head.
struct attention_args {
  const kv_layout* layout;
  const float* const* q;  ///< [rows] vectors of head_dim, already scaled.
  /// [n_blocks] the head in each block of the partition; what follows is only asked for ahead.
  const std::byte* const* blocks;
  uint32_t n_blocks;
  uint32_t rows;
  const uint32_t* n_keys;  ///< [rows] keys of the partition that a row sees; ascending, > 0.
  float* scores;           ///< Scratch [max_attention_rows][partition_keys].
  /// Scratch of `attention_factor_bytes`. f16: queries [ceil(head_dim / 16)][rows][16] floats.
  /// q8_0: of queries [parts] blocks of 2 · rows activation rows, then of what multiplies V
  /// [2][max_attention_rows][partition_keys].
  std::byte* factors;
  float* out;  ///< [rows] partials of `partial_floats(head_dim_padded)` each.
};

/// A partial softmax: unnormalised values [head_dim_padded], then the maximum and the sum.
constexpr uint32_t partial_extra = 16;

/// What writes and reads one type of KV memory.
struct kv_kernels {
  /// Writes K or V of the position in place `slot` of a block; `head` is where its head begins.
  void (*append_k)(const float* k, const kv_layout& layout, uint32_t slot, std::byte* head);
  void (*append_v)(const float* v, const kv_layout& layout, uint32_t slot, std::byte* head);
  void (*attend)(const attention_args&);
};

/// Everything that depends on the instruction set. All tables compute the same bits.
struct kernel_table {
  const char* name;   ///< "avx512-vnni"
  uint32_t max_rows;  ///< Rows of a full matmul tile.
  uint32_t max_attention_rows;

  void (*matmul[static_cast<size_t>(weight_format::count_)])(const matmul_args&);

  /// out = x / sqrt(mean(x²) + eps) · weight. May run in place.
  void (*rms_norm)(const float* x, const float* weight, uint32_t n, float eps, float* out);

  /// Quantises `n_blocks` blocks of one row into place `r` of a tile of `tile_rows` rows.
  void (*quantize)(const float* x, uint32_t n_blocks, std::byte* tile, uint32_t tile_rows,
                   uint32_t r);

  /// out = gate / (1 + exp(-gate)) · up.
  void (*silu_mul)(const float* gate, const float* up, uint32_t n, float* out);

  kv_kernels kv_f16, kv_q8_0;

  /// Joins the partial `next` (later keys) into `into`.
  void (*join)(float* into, const float* next, uint32_t head_dim_padded);

  /// out[head_dim] = values / sum.
  void (*finish)(const float* partial, uint32_t head_dim, uint32_t head_dim_padded, float* out);

  void (*exp)(const float* x, uint32_t n, float* out);  ///< For tests.
};

extern const kernel_table kernels_portable;
#if defined(__x86_64__)
extern const kernel_table kernels_avx2;
extern const kernel_table kernels_avxvnni;
extern const kernel_table kernels_avx512;
extern const kernel_table kernels_amx;
#endif

}  // namespace llmos::cpu
