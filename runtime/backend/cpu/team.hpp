#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos::cpu {

/// A fixed set of threads that run one job together; the caller is worker 0. Workers wait for
/// each other at barriers inside the job, so a whole step is one job. Waiting spins for some
/// tens of microseconds (a barrier then costs about 0.3 µs), then sleeps in the kernel: an idle
/// team uses no processor time, and an overbooked machine is not stalled by spinning.
class team {
public:
  /// Starts n - 1 threads. REQUIRES: n > 0. Errors: out_of_memory (no thread to be had).
  static result<std::unique_ptr<team>> make(uint32_t n);
  ~team();
  team(const team&) = delete;
  team& operator=(const team&) = delete;

  uint32_t size() const { return size_; }

  /// Calls job(worker) on every worker, worker < size(), and returns when all are done.
  /// The job must not throw.
  template <class Job>
  void run(Job&& job) {
    run_job([](void* p, uint32_t worker) { (*static_cast<Job*>(p))(worker); }, &job);
  }

  /// Inside a job: returns when all workers have called it. What was written before it is
  /// visible to everybody after it.
  void barrier();

private:
  using job_fn = void (*)(void*, uint32_t);

  explicit team(uint32_t n) : size_(n) {}
  void run_job(job_fn fn, void* arg);
  void work(uint32_t worker);

  const uint32_t size_;
  job_fn job_ = nullptr;
  void* job_arg_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> generation_{0};  // counts jobs; guards the three above
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};  // counts barriers
  std::vector<std::thread> threads_;
};

/// The part [begin, end) of n items that falls to `worker` of `size`.
struct share {
  uint32_t begin, end;
};
inline share share_of(uint32_t n, uint32_t worker, uint32_t size) {
  return {static_cast<uint32_t>(uint64_t{n} * worker / size),
          static_cast<uint32_t>(uint64_t{n} * (worker + 1) / size)};
}

}  // namespace llmos::cpu
