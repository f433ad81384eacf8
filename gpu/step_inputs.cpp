#include "gpu/step_inputs.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "gpu/places.hpp"
#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::gpu {

namespace {

constexpr uint32_t blocks_per_processor = 4, least_chunks = 4, warps_per_block = 4;

/// Values, and after them `fill` up to n.
template <class T>
void put(std::byte* to, std::span<const T> values, size_t n, const T& fill) {
  auto* out = reinterpret_cast<T*>(to);
  std::fill(std::copy(values.begin(), values.end(), out), out + n, fill);
}

/// The tiles of one sequence, appended.
void add_tiles(const sequence_rows& seq, uint32_t index, uint32_t queries_per_tile,
               std::vector<attention_tile>& out) {
  for (uint32_t first = 0; first < seq.num_rows; first += queries_per_tile) {
    const uint32_t n = std::min(queries_per_tile, seq.num_rows - first);
    out.push_back({seq.first_row + first, n, seq.num_past + first, index});
  }
}

uint32_t blocks_used(const sequence_rows& seq, uint32_t block_tokens) {
  return ceil_div(seq.num_past + seq.num_rows, block_tokens);
}

}  // namespace

step_layout::step_layout(const backend_limits& limits, uint32_t heads_per_kv)
    : queries_per_tile(attention_tile_rows / heads_per_kv),
      max_few_tiles(std::min(limits.max_seqs, limits.max_rows)),
      max_many_tiles(std::min(limits.max_rows,
                              ceil_div(limits.max_rows, queries_per_tile) + limits.max_seqs)) {
  places p;
  const size_t rows = limits.max_rows;
  header = p.take(sizeof(step_header));
  tokens = p.take(rows * sizeof(int32_t));
  positions = p.take(rows * sizeof(uint32_t));
  blocks = p.take(rows * sizeof(uint32_t));
  logit_rows = p.take(limits.max_logits * sizeof(uint32_t));
  choices = p.take(limits.max_logits * sizeof(token_choice));
  few_tiles = p.take(max_few_tiles * sizeof(attention_tile));
  many_tiles = p.take(max_many_tiles * sizeof(attention_tile));
  tables = p.take(size_t{limits.max_seqs} * ceil_div(limits.max_context, limits.block_tokens) *
                  sizeof(uint32_t));
  adjustments =
      p.take(size_t{limits.max_logits} * token_choice::max_adjustments * sizeof(token_adjustment));
  size = p.end();
}

uint32_t padded_rows(uint32_t n_rows) {
  return n_rows <= 16 ? std::bit_ceil(n_rows) : ceil_div(n_rows, 16u) * 16;
}

step_inputs::step_inputs(const backend_limits& limits, const hyperparameters& hp,
                         uint32_t n_processors)
    : limits_(limits),
      layout_(limits, hp.n_heads / hp.n_kv_heads),
      n_kv_heads_(hp.n_kv_heads),
      n_processors_(n_processors) {
  few_.reserve(layout_.max_few_tiles);
  many_.reserve(layout_.max_many_tiles);
}

step_inputs::prepared step_inputs::write(const step_batch& batch, const step_choices& choices,
                                         std::byte* to) {
  const step_shape of_batch = plan(batch, choices);
  prepared out{of_batch};
  const uint32_t rows = padded_rows(of_batch.n_rows);
  if (of_batch.n_many_tiles == 0 && rows <= std::min(max_graph_rows, limits_.max_rows)) {
    out.repeats = true;
    out.shape.n_rows = rows;
    out.shape.n_few_tiles = std::min(rows, layout_.max_few_tiles);
    if (of_batch.n_logits > 0) out.shape.n_logits = std::min(rows, limits_.max_logits);
    out.shape.n_splits = std::bit_floor(of_batch.n_splits);
  }
  write_rows(batch, out.shape, to);
  put(to + layout_.choices, choices.rows, out.shape.n_logits, token_choice{});
  put<token_adjustment>(to + layout_.adjustments, choices.adjustments, choices.adjustments.size(),
                        {});
  out.n_adjustment_bytes = choices.adjustments.size_bytes();
  out.n_bytes = write_tables(batch, of_batch, to);
  return out;
}

/// Sorts the sequences into tiles.
step_shape step_inputs::plan(const step_batch& batch, const step_choices& choices) {
  few_.clear();
  many_.clear();
  uint32_t longest = 0;
  for (uint32_t i = 0; i < batch.seqs.size(); ++i) {
    const sequence_rows& seq = batch.seqs[i];
    add_tiles(seq, i, layout_.queries_per_tile,
              seq.num_rows <= layout_.queries_per_tile ? few_ : many_);
    longest = std::max(longest, seq.num_past + seq.num_rows);
  }
  LLMOS_CHECK(few_.size() <= layout_.max_few_tiles && many_.size() <= layout_.max_many_tiles);
  const auto n_few = static_cast<uint32_t>(few_.size());
  return {.n_rows = static_cast<uint32_t>(batch.tokens.size()),
          .n_logits = static_cast<uint32_t>(batch.logit_rows.size()),
          .n_few_tiles = n_few,
          .n_many_tiles = static_cast<uint32_t>(many_.size()),
          .n_splits = splits_for(n_few, n_kv_heads_, longest, n_processors_),
          .chooses = !choices.rows.empty(),
          .adjusts = std::ranges::any_of(choices.rows, [](const token_choice& c) {
            return c.num_adjustments > 0 || c.pending < 0;
          })};
}

void step_inputs::write_rows(const step_batch& batch, const step_shape& shape,
                             std::byte* to) const {
  put(to + layout_.tokens, batch.tokens, shape.n_rows, token_id{0});
  put(to + layout_.logit_rows, batch.logit_rows, shape.n_logits, 0u);
  auto* positions = reinterpret_cast<uint32_t*>(to + layout_.positions);
  auto* blocks = reinterpret_cast<uint32_t*>(to + layout_.blocks);
  std::fill_n(positions, shape.n_rows, 0u);
  std::fill_n(blocks, shape.n_rows, limits_.num_blocks);
  for (const sequence_rows& seq : batch.seqs) {
    for (uint32_t r = 0; r < seq.num_rows; ++r) {
      positions[seq.first_row + r] = seq.num_past + r;
      blocks[seq.first_row + r] = seq.blocks[(seq.num_past + r) / limits_.block_tokens];
    }
  }
}

/// Header, tiles and block tables; returns where they end.
size_t step_inputs::write_tables(const step_batch& batch, const step_shape& of_batch,
                                 std::byte* to) const {
  uint32_t stride = 0;
  for (const sequence_rows& seq : batch.seqs) {
    stride = std::max(stride, blocks_used(seq, limits_.block_tokens));
  }
  const step_header header{of_batch.n_few_tiles, of_batch.n_many_tiles, stride};
  std::memcpy(to + layout_.header, &header, sizeof header);
  put<attention_tile>(to + layout_.few_tiles, few_, few_.size(), {});
  put<attention_tile>(to + layout_.many_tiles, many_, many_.size(), {});
  auto* table = reinterpret_cast<uint32_t*>(to + layout_.tables);
  for (const sequence_rows& seq : batch.seqs) {
    std::copy_n(seq.blocks.begin(), blocks_used(seq, limits_.block_tokens), table);
    table += stride;
  }
  return layout_.tables + batch.seqs.size() * stride * sizeof(uint32_t);
}

uint32_t splits_for(uint32_t n_tiles, uint32_t n_kv_heads, uint32_t longest,
                    uint32_t n_processors) {
  const uint32_t wanted = blocks_per_processor * n_processors / std::max(1u, n_tiles * n_kv_heads);
  const uint32_t most = longest / (chunk_keys * least_chunks * warps_per_block);
  return std::max(1u, std::min(wanted, most));
}

size_t most_partials(uint32_t max_tiles, uint32_t n_kv_heads, uint32_t n_processors) {
  const size_t all_split = size_t{blocks_per_processor} * n_processors;
  return std::max(all_split, size_t{max_tiles} * n_kv_heads);
}

}  // namespace llmos::gpu
