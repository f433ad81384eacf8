#include "runtime/backend/cpu/attention.hpp"

#include <algorithm>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// Rows that any kernel table takes at once.
constexpr uint32_t max_chunk_rows = 16;
/// With this many items for each worker no tile needs to be split.
constexpr uint32_t items_per_worker = 4;

}  // namespace

attention::attention(const kernel_table& kernels, const hyperparameters& hp,
                     const backend_limits& limits, uint32_t n_workers)
    : kernels_(kernels),
      kv_kernels_(kernels_for(limits.kv, kernels)),
      hp_(hp),
      limits_(limits),
      n_workers_(n_workers),
      pending_(new std::atomic<uint32_t>[size_t{items_per_worker} * n_workers]) {
  LLMOS_CHECK(kernels.max_attention_rows <= max_chunk_rows);
  all_.tiles.reserve(limits.max_rows);
  for_logits_.tiles.reserve(limits.max_rows);
}

uint64_t attention::bytes_of(const kernel_table& kernels, const hyperparameters& hp,
                             const backend_limits& limits, uint32_t n_workers) {
  return attention(kernels, hp, limits, n_workers).bytes();
}

result<std::unique_ptr<attention>> attention::make(const kernel_table& kernels,
                                                   const hyperparameters& hp,
                                                   const backend_limits& limits,
                                                   uint32_t n_workers) {
  std::unique_ptr<attention> out(new attention(kernels, hp, limits, n_workers));
  LLMOS_TRY(out->memory_, mapped_memory::make(out->bytes(), "attention scratch"));
  out->split_memory_ =
      reinterpret_cast<float*>(out->memory_.data()) + out->scratch_floats() * n_workers;
  return out;
}

/// Of whole cache lines.
size_t attention::factor_floats() const {
  return ceil_div(attention_factor_bytes(kernels_.max_attention_rows, hp_.head_dim), size_t{64}) *
         16;
}

size_t attention::scratch_floats() const {
  return score_floats() + factor_floats() + 2 * size_t{max_rows()} * partial_floats();
}

/// One full tile at the end of the longest context; touched only as far as it is used.
size_t attention::split_floats() const {
  return size_t{ceil_div(limits_.max_context, partition_keys)} * max_rows() * hp_.n_kv_heads *
         partial_floats();
}

attention::scratch attention::scratch_of(uint32_t worker) const {
  scratch s;
  s.scores = reinterpret_cast<float*>(memory_.data()) + worker * scratch_floats();
  float* factors = s.scores + score_floats();
  s.factors = reinterpret_cast<std::byte*>(factors);
  s.fresh = factors + factor_floats();
  s.joined = s.fresh + size_t{max_rows()} * partial_floats();
  return s;
}

float* attention::split_partials(head_tile t, uint32_t partition) const {
  const size_t index = size_t{t.kv_head} * partitions_of(*t.of) + partition;
  return split_memory_ + t.of->partials + index * rows_of(*t.of) * partial_floats();
}

void attention::plan(const step_batch& batch) {
  all_.tiles.clear();
  for (const sequence_rows& seq : batch.seqs) add_tiles(seq);
  keep_for_logits(batch.logit_rows);
  for (tile_list* list : {&all_, &for_logits_}) {
    split_tiles(*list);
    number_items(*list);
  }
}

void attention::add_tiles(const sequence_rows& seq) {
  for (uint32_t done = 0; done < seq.num_rows;) {
    const uint32_t pos = seq.num_past + done;
    const uint32_t n = std::min(tile_queries - pos % tile_queries, seq.num_rows - done);
    all_.tiles.push_back({&seq, seq.first_row + done, n, pos, 0, false, 0});
    done += n;
  }
}

/// Tiles and logit rows are both in order.
void attention::keep_for_logits(std::span<const uint32_t> logit_rows) {
  for_logits_.tiles.clear();
  auto row = logit_rows.begin();
  for (const tile& t : all_.tiles) {
    row = std::lower_bound(row, logit_rows.end(), t.first_row);
    if (row == logit_rows.end()) return;
    if (*row < t.first_row + t.n_queries) for_logits_.tiles.push_back(t);
  }
}

void attention::split_tiles(tile_list& list) const {
  list.any_split = false;
  if (list.tiles.size() * hp_.n_kv_heads >= size_t{items_per_worker} * n_workers_) return;
  size_t used = 0;
  for (tile& t : list.tiles) {
    const uint32_t n = partitions_of(t);
    const size_t need = size_t{n} * hp_.n_kv_heads * rows_of(t) * partial_floats();
    if (n == 1 || n_workers_ == 1 || used + need > split_floats()) continue;
    t.is_split = list.any_split = true;
    t.partials = used;
    used += need;
  }
}

void attention::number_items(tile_list& list) const {
  list.n_items = 0;
  for (tile& t : list.tiles) {
    t.first_item = list.n_items;
    list.n_items += hp_.n_kv_heads * (t.is_split ? partitions_of(t) : 1);
  }
}

uint32_t attention::open(bool is_last_layer) {
  open_ = is_last_layer ? &for_logits_ : &all_;
  if (open_->any_split) {
    for (size_t i = 0; i < open_->tiles.size() * hp_.n_kv_heads; ++i) {
      pending_[i].store(partitions_of(open_->tiles[i / hp_.n_kv_heads]), std::memory_order_relaxed);
    }
  }
  return std::min(open_->n_items, staged_work::max_items);
}

void attention::run(const layer_view& v, uint32_t item, uint32_t worker) {
  const scratch s = scratch_of(worker);
  const uint32_t n = std::min(open_->n_items, staged_work::max_items);
  const share parts = share_of(open_->n_items, item, n);
  for (uint32_t i = parts.begin; i < parts.end; ++i) run_part(v, i, s);
}

void attention::run_part(const layer_view& v, uint32_t part, const scratch& s) {
  const std::vector<tile>& tiles = open_->tiles;
  const auto after = std::upper_bound(tiles.begin(), tiles.end(), part,
                                      [](uint32_t i, const tile& t) { return i < t.first_item; });
  const tile& t = *(after - 1);
  const uint32_t i = part - t.first_item;
  if (!t.is_split) {
    const head_tile ht{&t, i};
    attend_all(v, ht, s);
    write_out(ht, s.joined, v.out);
    return;
  }
  const uint32_t n = partitions_of(t);
  const head_tile ht{&t, i / n};
  attend_partition(v, ht, i % n, s, split_partials(ht, i % n));
  const auto index = static_cast<size_t>(&t - tiles.data()) * hp_.n_kv_heads + ht.kv_head;
  if (pending_[index].fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  join_split(ht);
  write_out(ht, split_partials(ht, 0), v.out);
}

void attention::attend_partition(const layer_view& v, head_tile t, uint32_t partition,
                                 const scratch& s, float* partials) const {
  const uint32_t n_rows = rows_of(*t.of), g = group();
  const uint32_t first_key = partition * partition_keys;
  const uint32_t end =
      std::min(first_key + partition_keys + ahead_keys, t.of->first_pos + t.of->n_queries);
  const std::byte* blocks[(partition_keys + ahead_keys) / 16];
  attention_args x{};
  x.layout = &v.pool.layout();
  x.blocks = blocks;
  for (uint32_t key = first_key; key < end; key += limits_.block_tokens) {
    const block_id block = t.of->seq->blocks[key / limits_.block_tokens];
    blocks[x.n_blocks++] = v.pool.head(block, v.layer, t.kv_head);
  }
  x.scores = s.scores;
  x.factors = s.factors;
  x.out = partials;
  const float* q[max_chunk_rows];
  uint32_t n_keys[max_chunk_rows];
  x.q = q;
  x.n_keys = n_keys;
  for (uint32_t first = 0; first < n_rows; first += x.rows) {
    x.rows = std::min(kernels_.max_attention_rows, n_rows - first);
    for (uint32_t r = 0; r < x.rows; ++r) {
      const uint32_t query = (first + r) / g, head = t.kv_head * g + (first + r) % g;
      q[r] = v.q + (t.of->first_row + query) * v.q_stride + size_t{head} * hp_.head_dim;
      n_keys[r] = std::min(t.of->first_pos + query + 1 - first_key, partition_keys);
    }
    kv_kernels_.attend(x);
    x.out += size_t{x.rows} * partial_floats();
  }
}

void attention::attend_all(const layer_view& v, head_tile t, const scratch& s) const {
  attend_partition(v, t, 0, s, s.joined);
  for (uint32_t p = 1; p < partitions_of(*t.of); ++p) {
    attend_partition(v, t, p, s, s.fresh);
    for (uint32_t r = 0; r < rows_of(*t.of); ++r) {
      const size_t at = size_t{r} * partial_floats();
      kernels_.join(s.joined + at, s.fresh + at, padded_head_dim(hp_));
    }
  }
}

/// Joins all partitions into the first.
void attention::join_split(head_tile t) const {
  float* into = split_partials(t, 0);
  for (uint32_t p = 1; p < partitions_of(*t.of); ++p) {
    const float* next = split_partials(t, p);
    for (uint32_t r = 0; r < rows_of(*t.of); ++r) {
      const size_t at = size_t{r} * partial_floats();
      kernels_.join(into + at, next + at, padded_head_dim(hp_));
    }
  }
}

void attention::write_out(head_tile t, const float* partials, float* out) const {
  const uint32_t g = group(), dim = hp_.head_dim;
  for (uint32_t r = 0; r < rows_of(*t.of); ++r) {
    const size_t row = t.of->first_row + r / g, head = t.kv_head * g + r % g;
    kernels_.finish(partials + size_t{r} * partial_floats(), dim, padded_head_dim(hp_),
                    out + (row * hp_.n_heads + head) * dim);
  }
}

}  // namespace llmos::cpu
