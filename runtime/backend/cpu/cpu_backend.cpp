#include "runtime/backend/cpu/cpu_backend.hpp"

#include <string>
#include <utility>

#include "runtime/backend/cpu/cpu_count.hpp"
#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/cpu/kv_pool.hpp"
#include "runtime/backend/cpu/step.hpp"
#include "runtime/backend/cpu/team.hpp"
#include "runtime/backend/cpu/weights.hpp"

namespace llmos {

namespace {

using namespace cpu;

uint32_t thread_count(const backend_limits& limits) {
  return limits.num_threads != 0 ? limits.num_threads : usable_cpus();
}

class cpu_backend final : public backend {
public:
  static result<std::unique_ptr<backend>> make(std::shared_ptr<const model> m,
                                               const backend_limits& limits);

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& batch) override;
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override;

private:
  cpu_backend(std::shared_ptr<const model> m, const backend_limits& limits,
              const kernel_table& kernels)
      : model_(std::move(m)), limits_(limits), kernels_(kernels) {}

  result<void> allocate();
  void describe();

  std::shared_ptr<const model> model_;
  const backend_limits limits_;
  const kernel_table& kernels_;
  backend_info info_;
  std::unique_ptr<team> team_;
  model_weights weights_;
  kv_pool pool_;
  std::unique_ptr<step> step_;
};

result<std::unique_ptr<backend>> cpu_backend::make(std::shared_ptr<const model> m,
                                                   const backend_limits& limits) {
  LLMOS_TRY(const kernel_table* kernels, choose_kernels());
  std::unique_ptr<cpu_backend> out(new cpu_backend(std::move(m), limits, *kernels));
  LLMOS_TRY_VOID(out->allocate());
  out->describe();
  return std::unique_ptr<backend>(std::move(out));
}

result<void> cpu_backend::allocate() {
  const uint32_t n_threads = thread_count(limits_);
  LLMOS_TRY(team_, team::make(n_threads));
  LLMOS_TRY(pool_, kv_pool::make(model_->hp, limits_));
  LLMOS_TRY(weights_, pack_weights(*model_, *team_));
  LLMOS_TRY(step_, step::make({*model_, weights_, pool_, kernels_, limits_, n_threads}));
  return {};
}

void cpu_backend::describe() {
  const uint32_t n = team_->size();
  info_.name = "cpu";
  info_.device = std::to_string(n) + (n == 1 ? " thread, " : " threads, ") + kernels_.name;
  info_.numerics = "cpu-int8-v2/" + std::string(name_of(limits_.kv)) + "kv";
  info_.weight_bytes = weights_.memory.size();
  info_.kv_bytes = pool_.size_bytes();
}

result<std::span<const float>> cpu_backend::forward(const step_batch& batch) {
  LLMOS_TRY_VOID(validate(batch, limits_, model_->hp.n_vocab));
  step_->plan(batch);
  team_->run(*step_);
  return std::span(step_->logits(), batch.logit_rows.size() * model_->hp.n_vocab);
}

result<void> cpu_backend::copy_blocks(std::span<const block_id> from,
                                      std::span<const block_id> to) {
  LLMOS_TRY_VOID(validate_copy(from, to, limits_));
  for (size_t i = 0; i < from.size(); ++i) pool_.copy(from[i], to[i]);
  return {};
}

result<void> check_block_tokens(uint32_t n) {
  for (uint32_t allowed = 16; allowed <= partition_keys; allowed *= 2) {
    if (n == allowed) return {};
  }
  return failure{ec::invalid_argument,
                 "the cpu backend cannot use KV blocks of " + std::to_string(n) + " tokens",
                 "set block_tokens to 16, 32, 64, 128 or 256"};
}

}  // namespace

result<std::unique_ptr<backend>> make_cpu_backend(std::shared_ptr<const model> m,
                                                  const backend_limits& limits) {
  LLMOS_TRY_VOID(check_block_tokens(limits.block_tokens));
  return cpu_backend::make(std::move(m), limits);
}

result<backend_memory> memory_of_cpu_backend(const model& m, const backend_limits& limits) {
  LLMOS_TRY_VOID(check_block_tokens(limits.block_tokens));
  LLMOS_TRY(const kernel_table* kernels, choose_kernels());
  LLMOS_TRY(const model_weights weights, plan_weights(m));
  const auto kv_bytes = kv_pool::bytes_of(m.hp, limits);
  if (!kv_bytes) return memory_failure(UINT64_MAX, "the KV pool");
  const kv_pool none;
  return backend_memory{
      .weight_bytes = weights.packed_bytes + m.token_embd->n_bytes,
      .kv_bytes = *kv_bytes,
      .scratch_bytes = step::bytes_of({m, weights, none, *kernels, limits, thread_count(limits)})};
}

}  // namespace llmos
