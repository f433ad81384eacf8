#include "runtime/backend/cpu/attention.hpp"

#include <algorithm>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// Rows that any kernel table takes at once.
constexpr uint32_t max_chunk_rows = 16;
/// Blocks of a partition and what is asked for ahead.
constexpr uint32_t max_blocks = (partition_keys + ahead_keys) / 16;
/// With this many items for each worker no tile needs to be split.
constexpr uint32_t items_per_worker = 4;

}  // namespace

attention::attention(const kernel_table& kernels, const hyperparameters& hp,
                     const backend_limits& limits, uint32_t n_workers)
    : kernels_(kernels),
      kv_kernels_(kernels_for(limits.kv, kernels)),
      hp_(hp),
      limits_(limits),
      n_workers_(n_workers) {
  LLMOS_CHECK(kernels.max_attention_rows <= max_chunk_rows);
}

/// A split tile has at least group() rows of partials for each partition, so that memory for them
/// bounds how many tiles share how many partitions.
void attention::reserve() {
  const size_t most_shared = size_t{max_partitions()} * tile_queries;
  for (tile_list* list : {&all_, &for_logits_}) {
    list->tiles.reserve(limits_.max_rows);
    list->members.reserve(2 * size_t{limits_.max_rows} + most_shared);
    list->families.reserve(most_shared / 2 + 1);
    list->calls.reserve(most_shared / 2 + 1);
  }
  pending_.reset(new std::atomic<uint32_t>[size_t{limits_.max_rows} * hp_.n_kv_heads]);
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
  out->reserve();
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
  return size_t{max_partitions()} * max_rows() * hp_.n_kv_heads * partial_floats();
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
    share_partitions(*list);
    split_tiles(*list);
    number_items(*list);
  }
}

void attention::add_tiles(const sequence_rows& seq) {
  for (uint32_t done = 0; done < seq.num_rows;) {
    const uint32_t pos = seq.num_past + done;
    const uint32_t n = std::min(tile_queries - pos % tile_queries, seq.num_rows - done);
    all_.tiles.push_back({&seq, seq.first_row + done, n, pos});
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

/// Whether a tile sees the whole partition and leaves room for another one as large in a call.
bool attention::can_share(const tile& t, uint32_t partition) const {
  return t.first_pos >= (partition + 1) * partition_keys && 2 * rows_of(t) <= max_call_rows();
}

bool attention::same_blocks(const tile& a, const tile& b, uint32_t partition) const {
  const uint32_t n = partition_keys / limits_.block_tokens;
  const auto own = a.seq->blocks.subspan(partition * n, n);
  return std::equal(own.begin(), own.end(), b.seq->blocks.begin() + partition * n);
}

/// Reserves memory for the partials of every partition, if there is as much.
bool attention::split(tile_list& list, tile& t) const {
  if (t.is_split) return true;
  const size_t need = size_t{partitions_of(t)} * hp_.n_kv_heads * rows_of(t) * partial_floats();
  if (list.split_used + need > split_floats()) return false;
  t.is_split = list.any_split = true;
  t.partials = list.split_used;
  list.split_used += need;
  return true;
}

/// Who shares a partition may share the next one too.
void attention::share_partitions(tile_list& list) const {
  list.members.clear();
  list.families.clear();
  list.calls.clear();
  list.split_used = 0;
  list.any_split = false;
  for (uint32_t i = 0; i < list.tiles.size(); ++i) {
    tile& t = list.tiles[i];
    t.is_split = false;
    t.num_shared = 0;
    if (can_share(t, 0)) list.members.push_back(i);
  }
  find_families(list, {0, static_cast<uint32_t>(list.members.size()), 0});
  for (size_t i = 0; i < list.families.size(); ++i) {
    const family x = list.families[i];
    find_families(list, {x.first, x.end, x.partition + 1});
  }
}

/// Those among some tiles that hold a partition in the same blocks.
void attention::find_families(tile_list& list, family among) const {
  const uint32_t partition = among.partition;
  const auto is_free = [&](const tile& t) {
    return t.num_shared == partition && can_share(t, partition);
  };
  for (uint32_t i = among.first; i + 1 < among.end; ++i) {
    const tile& t = list.tiles[list.members[i]];
    if (!is_free(t)) continue;
    const auto first = static_cast<uint32_t>(list.members.size());
    for (uint32_t j = i; j < among.end; ++j) {
      const tile& other = list.tiles[list.members[j]];
      if (is_free(other) && same_blocks(t, other, partition)) {
        list.members.push_back(list.members[j]);
      }
    }
    if (list.members.size() - first > 1) keep_with_memory(list, first);
    add_calls(list, first, partition);
  }
}

/// Leaves only those of the last members that have memory for their partials.
void attention::keep_with_memory(tile_list& list, uint32_t first) const {
  const auto lacks = [&](uint32_t i) { return !split(list, list.tiles[i]); };
  list.members.erase(std::remove_if(list.members.begin() + first, list.members.end(), lacks),
                     list.members.end());
}

/// Makes a family of the last members and cuts it into calls. Who is left alone shares nothing.
void attention::add_calls(tile_list& list, uint32_t first, uint32_t partition) const {
  const size_t n_calls = list.calls.size();
  uint32_t begin = first, rows = 0;
  for (uint32_t i = first; i < list.members.size(); ++i) {
    const uint32_t more = rows_of(list.tiles[list.members[i]]);
    if (rows + more > max_call_rows()) {
      list.calls.push_back({begin, i, partition});
      begin = i;
      rows = 0;
    }
    rows += more;
  }
  const auto end = static_cast<uint32_t>(list.members.size());
  if (end - begin == 1 && list.calls.size() > n_calls && begin - list.calls.back().first > 2) {
    list.calls.back().end = --begin;
  }
  if (end - begin > 1) {
    list.calls.push_back({begin, end, partition});
  } else {
    list.members.resize(begin);
  }
  for (uint32_t i = first; i < list.members.size(); ++i) ++list.tiles[list.members[i]].num_shared;
  if (list.calls.size() > n_calls) {
    list.families.push_back({first, static_cast<uint32_t>(list.members.size()), partition});
  }
}

void attention::split_tiles(tile_list& list) const {
  if (list.tiles.size() * hp_.n_kv_heads >= size_t{items_per_worker} * n_workers_) return;
  for (tile& t : list.tiles) {
    if (!t.is_split && partitions_of(t) > 1 && n_workers_ > 1) split(list, t);
  }
}

void attention::number_items(tile_list& list) const {
  list.n_items = static_cast<uint32_t>(list.calls.size()) * hp_.n_kv_heads;
  for (tile& t : list.tiles) {
    t.first_item = list.n_items;
    list.n_items += hp_.n_kv_heads * (t.is_split ? partitions_of(t) - t.num_shared : 1);
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
  if (part / hp_.n_kv_heads < open_->calls.size()) return run_shared(v, part, s);
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
  const uint32_t n = partitions_of(t) - t.num_shared, partition = t.num_shared + i % n;
  const head_tile ht{&t, i / n};
  attend_partition(v, ht, partition, s, split_partials(ht, partition));
  end_partition(v, ht);
}

void attention::run_shared(const layer_view& v, uint32_t part, const scratch& s) {
  const family& call = open_->calls[part / hp_.n_kv_heads];
  const uint32_t kv_head = part % hp_.n_kv_heads;
  attend_shared(v, call, kv_head, s);
  for (uint32_t i = call.first; i < call.end; ++i) {
    end_partition(v, {&open_->tiles[open_->members[i]], kv_head});
  }
}

/// Joins the partitions of a split tile if this was the last of them.
void attention::end_partition(const layer_view& v, head_tile t) {
  const auto index = static_cast<size_t>(t.of - open_->tiles.data()) * hp_.n_kv_heads + t.kv_head;
  if (pending_[index].fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  join_split(t);
  write_out(t, split_partials(t, 0), v.out);
}

/// All but rows and where they go: the head in the blocks of a partition, and of what is asked for
/// ahead, is listed in blocks[max_blocks].
attention_args attention::args_for(const layer_view& v, head_tile t, uint32_t partition,
                                   const scratch& s, const std::byte** blocks) const {
  const uint32_t first_key = partition * partition_keys;
  const uint32_t end =
      std::min(first_key + partition_keys + ahead_keys, t.of->first_pos + t.of->n_queries);
  attention_args x{};
  x.layout = &v.pool.layout();
  x.blocks = blocks;
  x.scores = s.scores;
  x.factors = s.factors;
  for (uint32_t key = first_key; key < end; key += limits_.block_tokens) {
    const block_id block = t.of->seq->blocks[key / limits_.block_tokens];
    blocks[x.n_blocks++] = v.pool.head(block, v.layer, t.kv_head);
  }
  return x;
}

/// Query [head_dim] of row `row` of a tile.
const float* attention::query_of(const layer_view& v, head_tile t, uint32_t row) const {
  const uint32_t g = group(), head = t.kv_head * g + row % g;
  return v.q + (t.of->first_row + row / g) * v.q_stride + size_t{head} * hp_.head_dim;
}

void attention::attend_partition(const layer_view& v, head_tile t, uint32_t partition,
                                 const scratch& s, float* partials) const {
  const uint32_t n_rows = rows_of(*t.of), first_key = partition * partition_keys;
  const std::byte* blocks[max_blocks];
  attention_args x = args_for(v, t, partition, s, blocks);
  x.out = partials;
  const float* q[max_chunk_rows];
  uint32_t n_keys[max_chunk_rows];
  x.q = q;
  x.n_keys = n_keys;
  for (uint32_t first = 0; first < n_rows; first += x.rows) {
    x.rows = std::min(kernels_.max_attention_rows, n_rows - first);
    for (uint32_t r = 0; r < x.rows; ++r) {
      const uint32_t pos = t.of->first_pos + (first + r) / group();
      q[r] = query_of(v, t, first + r);
      n_keys[r] = std::min(pos + 1 - first_key, partition_keys);
    }
    kv_kernels_.attend(x);
    x.out += size_t{x.rows} * partial_floats();
  }
}

void attention::attend_shared(const layer_view& v, const family& call, uint32_t kv_head,
                              const scratch& s) const {
  const auto tile_at = [&](uint32_t i) {
    return head_tile{&open_->tiles[open_->members[i]], kv_head};
  };
  const std::byte* blocks[max_blocks];
  attention_args a = args_for(v, tile_at(call.first), call.partition, s, blocks);
  a.out = s.fresh;
  const float* q[max_chunk_rows];
  uint32_t n_keys[max_chunk_rows];
  std::fill_n(n_keys, max_chunk_rows, partition_keys);
  a.q = q;
  a.n_keys = n_keys;
  for (uint32_t i = call.first; i < call.end; ++i) {
    const head_tile t = tile_at(i);
    for (uint32_t row = 0; row < rows_of(*t.of); ++row) q[a.rows++] = query_of(v, t, row);
  }
  kv_kernels_.attend(a);
  const float* partials = s.fresh;
  for (uint32_t i = call.first; i < call.end; ++i) {
    const head_tile t = tile_at(i);
    const size_t n = size_t{rows_of(*t.of)} * partial_floats();
    std::copy_n(partials, n, split_partials(t, call.partition));
    partials += n;
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
