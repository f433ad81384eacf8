#include "gpu/step_inputs.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::gpu {

namespace {

constexpr size_t alignment = 256;
constexpr uint32_t blocks_per_processor = 4, least_chunks = 4, warps_per_block = 4;

/// Hands out places, one after the other.
class places {
public:
  size_t take(size_t bytes) {
    const size_t at = next_;
    next_ = ceil_div(at + bytes, alignment) * alignment;
    return at;
  }
  size_t end() const { return next_; }

private:
  size_t next_ = 0;
};

template <class T>
void put(std::byte* to, const std::vector<T>& values) {
  if (!values.empty()) std::memcpy(to, values.data(), values.size() * sizeof(T));
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
  few_tiles = p.take(max_few_tiles * sizeof(attention_tile));
  many_tiles = p.take(max_many_tiles * sizeof(attention_tile));
  tables = p.take(size_t{limits.max_seqs} * ceil_div(limits.max_context, limits.block_tokens) *
                  sizeof(uint32_t));
  size = p.end();
}

size_t write_inputs(const step_batch& batch, const step_layout& layout, uint32_t block_tokens,
                    std::byte* to) {
  std::vector<attention_tile> few, many;
  std::vector<uint32_t> positions(batch.tokens.size()), blocks(batch.tokens.size());
  uint32_t stride = 0;
  for (const sequence_rows& seq : batch.seqs) {
    stride = std::max(stride, blocks_used(seq, block_tokens));
  }
  std::vector<uint32_t> tables(batch.seqs.size() * stride);
  for (uint32_t i = 0; i < batch.seqs.size(); ++i) {
    const sequence_rows& seq = batch.seqs[i];
    add_tiles(seq, i, layout.queries_per_tile,
              seq.num_rows <= layout.queries_per_tile ? few : many);
    std::copy_n(seq.blocks.begin(), blocks_used(seq, block_tokens), tables.begin() + i * stride);
    for (uint32_t r = 0; r < seq.num_rows; ++r) {
      positions[seq.first_row + r] = seq.num_past + r;
      blocks[seq.first_row + r] = seq.blocks[(seq.num_past + r) / block_tokens];
    }
  }
  LLMOS_CHECK(few.size() <= layout.max_few_tiles && many.size() <= layout.max_many_tiles);
  const step_header header{static_cast<uint32_t>(few.size()), static_cast<uint32_t>(many.size()),
                           stride};
  std::memcpy(to + layout.header, &header, sizeof header);
  std::memcpy(to + layout.tokens, batch.tokens.data(), batch.tokens.size_bytes());
  std::memcpy(to + layout.logit_rows, batch.logit_rows.data(), batch.logit_rows.size_bytes());
  put(to + layout.positions, positions);
  put(to + layout.blocks, blocks);
  put(to + layout.few_tiles, few);
  put(to + layout.many_tiles, many);
  put(to + layout.tables, tables);
  return layout.tables + tables.size() * sizeof(uint32_t);
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
