#include "runtime/backend/cpu/team.hpp"

#include <chrono>
#include <string>
#include <system_error>

#include "runtime/base/check.hpp"

namespace llmos::cpu {

namespace {

constexpr std::chrono::microseconds spin_time{60};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when `x` is no longer `old`.
void wait_while_equal(const std::atomic<uint32_t>& x, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 64; ++i) {
      if (x.load(std::memory_order_acquire) != old) return;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < spin_time);
  while (x.load(std::memory_order_acquire) == old) x.wait(old, std::memory_order_acquire);
}

}  // namespace

result<std::unique_ptr<team>> team::make(uint32_t n) {
  LLMOS_CHECK(n > 0);
  std::unique_ptr<team> out(new team(n));
  out->threads_.reserve(n - 1);
  try {
    for (uint32_t i = 1; i < n; ++i) out->threads_.emplace_back([t = out.get(), i] { t->work(i); });
  } catch (const std::system_error& e) {
    return failure{ec::out_of_memory,
                   "cannot start compute thread " + std::to_string(out->threads_.size() + 1) +
                       " of " + std::to_string(n) + ": " + e.what(),
                   "lower the number of threads or raise the process limit"};
  }
  return out;
}

team::~team() {
  stop_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void team::run_job(job_fn fn, void* arg) {
  job_ = fn;
  job_arg_ = arg;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  fn(arg, 0);
  barrier();
}

void team::work(uint32_t worker) {
  for (uint32_t seen = 0;; ++seen) {
    wait_while_equal(generation_, seen);
    if (stop_) return;
    job_(job_arg_, worker);
    barrier();
  }
}

void team::barrier() {
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < size_) {
    wait_while_equal(phase_, phase);
    return;
  }
  arrived_.store(0, std::memory_order_relaxed);
  phase_.store(phase + 1, std::memory_order_release);
  phase_.notify_all();
}

}  // namespace llmos::cpu
