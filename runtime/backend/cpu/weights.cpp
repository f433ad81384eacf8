#include "runtime/backend/cpu/weights.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// Items that packing a matrix makes for each worker.
constexpr uint32_t items_per_worker = 8;
/// More where an item would be larger: what is being packed is in memory twice.
constexpr uint64_t bytes_per_item = 4u << 20;
/// Smaller items leave memory together: the system maps 64 KiB at once around what is touched.
constexpr uint64_t forget_at_once = 256u << 10;

/// A tensor of the file and the matrix it becomes.
struct packing_job {
  const tensor_info* from;
  packed_matrix* to;
};

std::vector<float> decode_vector(const tensor_info* t) {
  if (t == nullptr) return {};
  std::vector<float> out(t->n_elements());
  dequantize(t->type, t->data, out);
  return out;
}

void decode_vectors(const layer_tensors& from, layer_weights& to) {
  to.attn_norm = decode_vector(from.attn_norm);
  to.ffn_norm = decode_vector(from.ffn_norm);
  to.q_norm = decode_vector(from.q_norm);
  to.k_norm = decode_vector(from.k_norm);
  to.bq = decode_vector(from.bq);
  to.bk = decode_vector(from.bk);
  to.bv = decode_vector(from.bv);
  to.bo = decode_vector(from.bo);
}

std::array<packing_job, 7> jobs_of(const layer_tensors& from, layer_weights& to) {
  return {{{from.wq, &to.wq},
           {from.wk, &to.wk},
           {from.wv, &to.wv},
           {from.wo, &to.wo},
           {from.gate, &to.gate},
           {from.up, &to.up},
           {from.down, &to.down}}};
}

/// In the order in which a step reads them.
std::vector<packing_job> list_jobs(const model& m, model_weights& w) {
  std::vector<packing_job> jobs;
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const auto layer = jobs_of(m.layers[i], w.layers[i]);
    jobs.insert(jobs.end(), layer.begin(), layer.end());
  }
  jobs.push_back({m.output, &w.output});
  return jobs;
}

/// The bytes of some groups' rows in the file.
std::span<const std::byte> rows_of(const packing_job& job, share groups) {
  const uint64_t row_bytes = job.from->n_bytes / job.to->n;
  const uint64_t begin = uint64_t{groups.begin} * group_columns;
  const uint64_t end = std::min<uint64_t>(uint64_t{groups.end} * group_columns, job.to->n);
  return {job.from->data + begin * row_bytes, (end - begin) * row_bytes};
}

/// Packs a matrix with the whole team. What a large item was made of leaves memory before the next
/// item begins, so that no large matrix is ever there twice.
void pack(const gguf_file& file, const packing_job& job, team& workers) {
  const uint32_t n_groups = job.to->n_groups();
  const auto n_parts = static_cast<uint32_t>(std::min<uint64_t>(
      {ceil_div(job.from->n_bytes, bytes_per_item), n_groups, staged_work::max_items}));
  const uint32_t n_items = std::max(n_parts, std::min(n_groups, items_per_worker * workers.size()));
  workers.for_each(n_items, [&](uint32_t item, uint32_t) {
    const share part = share_of(n_groups, item, n_items);
    pack_groups(*job.from, *job.to, part.begin, part.end);
    if (const auto rows = rows_of(job, part); rows.size() >= forget_at_once) file.forget(rows);
  });
  file.forget({job.from->data, job.from->n_bytes});
}

/// The bytes from the first tensor to the last.
std::span<const std::byte> tensor_bytes(const gguf_file& file) {
  const auto tensors = file.tensors();
  const auto end_of = [](const tensor_info& t) { return t.data + t.n_bytes; };
  const std::byte* begin = std::ranges::min(tensors, {}, &tensor_info::data).data;
  return {begin, end_of(std::ranges::max(tensors, {}, end_of))};
}

}  // namespace

result<model_weights> plan_weights(const model& m) {
  model_weights w;
  w.layers.resize(m.layers.size());
  std::optional<uint64_t> total = 0;
  for (const packing_job& job : list_jobs(m, w)) {
    const auto planned = plan_packing(*job.from);
    if (planned) total = checked_add(*total, planned->size_bytes());
    if (!planned || !total) return memory_failure(UINT64_MAX, "the weights");
    *job.to = *planned;
  }
  w.packed_bytes = *total;
  return w;
}

result<model_weights> pack_weights(const model& m, team& workers) {
  LLMOS_TRY(model_weights w, plan_weights(m));
  LLMOS_TRY(w.memory, mapped_memory::make(w.packed_bytes, "the weights"));
  uint64_t offset = 0;
  for (const packing_job& job : list_jobs(m, w)) {
    job.to->data = w.memory.data() + offset;
    offset += job.to->size_bytes();
  }
  for (size_t i = 0; i < m.layers.size(); ++i) {
    decode_vectors(m.layers[i], w.layers[i]);
    for (const packing_job& job : jobs_of(m.layers[i], w.layers[i])) pack(*m.file, job, workers);
  }
  w.output_norm = decode_vector(m.output_norm);
  pack(*m.file, {m.output, &w.output}, workers);
  m.file->forget(tensor_bytes(*m.file));  // vectors, and pages that two tensors share
  return w;
}

}  // namespace llmos::cpu
