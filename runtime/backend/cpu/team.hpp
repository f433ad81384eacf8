#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos::cpu {

/// Work that a team does together: stages one after another, each cut into items that any worker
/// may run, in any order and at the same time. Nothing may throw.
class staged_work {
public:
  /// Items of one stage fit 16 bits.
  static constexpr uint32_t max_items = UINT16_MAX;

  virtual ~staged_work() = default;
  virtual uint32_t n_stages() const = 0;
  /// How many items stage `stage` has, at most `max_items`; with none it is passed over. Called
  /// once for each stage, after every item of the stages before and before any item of this one, so
  /// it may also prepare what the items share.
  virtual uint32_t n_items(uint32_t stage) = 0;
  /// Runs one item. What it writes is visible to the stages after.
  virtual void run(uint32_t stage, uint32_t item, uint32_t worker) = 0;
};

/// A fixed set of threads; the caller is worker 0. No worker waits for another one to arrive: a
/// stage ends when its items are done, whoever did them, and the one that did the last opens the
/// next. So a thread that the system has taken off its processor holds up the item that it is in
/// and nothing else; the others take its share. Every worker begins with a part of its own
/// (neighbouring items, so that caches keep what it touched) and then takes from the ends of
/// others'.
///
/// Waiting spins for some tens of microseconds, then sleeps in the kernel: an idle team uses no
/// processor time.
class team {
public:
  /// Starts n - 1 threads. REQUIRES: n > 0. Errors: out_of_memory (no thread to be had).
  static result<std::unique_ptr<team>> make(uint32_t n);
  ~team();
  team(const team&) = delete;
  team& operator=(const team&) = delete;

  uint32_t size() const { return size_; }

  /// Runs all stages and returns when the last one is done.
  void run(staged_work& work);

  /// Calls f(item, worker) for every item < n. REQUIRES: n ≤ staged_work::max_items.
  template <class F>
  void for_each(uint32_t n, F f) {
    struct one_stage final : staged_work {
      uint32_t n;
      F& f;
      one_stage(uint32_t n, F& f) : n(n), f(f) {}
      uint32_t n_stages() const override { return 1; }
      uint32_t n_items(uint32_t) override { return n; }
      void run(uint32_t, uint32_t item, uint32_t worker) override { f(item, worker); }
    };
    one_stage work(n, f);
    run(work);
  }

private:
  /// The items of the open stage that nobody has taken of one worker's part: the epoch that they
  /// belong to in the upper half, then first and end in 16 bits each. Whoever holds an old epoch
  /// takes nothing, and so never touches work that is over.
  struct alignas(64) queue {
    std::atomic<uint64_t> range{0};
  };

  explicit team(uint32_t n) : size_(n), queues_(new queue[n]) {}
  void open_from(uint32_t stage);
  void take_part(uint32_t epoch, uint32_t worker);
  void work(uint32_t worker);

  const uint32_t size_;
  std::unique_ptr<queue[]> queues_;  // [size_]
  // Written before a stage opens, read only by those who took one of its items.
  staged_work* work_ = nullptr;
  uint32_t stage_ = 0;
  std::atomic<bool> stop_{false};
  // Counts stages in steps of 2; odd while there is no work.
  alignas(64) std::atomic<uint32_t> epoch_{1};
  alignas(64) std::atomic<uint32_t> unfinished_{0};  // items of the open stage
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
