#include "runtime/backend/cpu/weights.hpp"

#include <algorithm>

#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// Items that packing a matrix makes for each worker.
constexpr uint32_t items_per_worker = 8;

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

/// In the order in which a step reads them.
std::vector<packing_job> list_jobs(const model& m, model_weights& w) {
  std::vector<packing_job> jobs;
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const layer_tensors& from = m.layers[i];
    layer_weights& to = w.layers[i];
    jobs.insert(jobs.end(), {{from.wq, &to.wq},
                             {from.wk, &to.wk},
                             {from.wv, &to.wv},
                             {from.wo, &to.wo},
                             {from.gate, &to.gate},
                             {from.up, &to.up},
                             {from.down, &to.down}});
  }
  jobs.push_back({m.output, &w.output});
  return jobs;
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
  for (size_t i = 0; i < m.layers.size(); ++i) decode_vectors(m.layers[i], w.layers[i]);
  w.output_norm = decode_vector(m.output_norm);

  LLMOS_TRY(w.memory, mapped_memory::make(w.packed_bytes, "the weights"));
  const std::vector<packing_job> jobs = list_jobs(m, w);
  uint64_t offset = 0;
  for (const packing_job& job : jobs) {
    job.to->data = w.memory.data() + offset;
    offset += job.to->size_bytes();
  }
  for (const packing_job& job : jobs) {
    const uint32_t n_groups = job.to->n_groups();
    const uint32_t n_items = std::min(n_groups, items_per_worker * workers.size());
    workers.for_each(n_items, [&](uint32_t item, uint32_t) {
      const share part = share_of(n_groups, item, n_items);
      pack_groups(*job.from, *job.to, part.begin, part.end);
    });
    m.file->forget({job.from->data, job.from->n_bytes});
  }
  return w;
}

}  // namespace llmos::cpu
