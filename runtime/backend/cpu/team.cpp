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

/// Returns what `x` holds when it is no longer `old`.
uint32_t wait_while_equal(const std::atomic<uint32_t>& x, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 64; ++i) {
      const uint32_t now = x.load(std::memory_order_acquire);
      if (now != old) return now;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < spin_time);
  for (;;) {
    x.wait(old, std::memory_order_acquire);
    const uint32_t now = x.load(std::memory_order_acquire);
    if (now != old) return now;
  }
}

constexpr uint32_t idle_bit = 1;
constexpr bool is_idle(uint32_t epoch) {
  return (epoch & idle_bit) != 0;
}

constexpr uint64_t first_step = uint64_t{1} << 16;
uint64_t pack(uint32_t epoch, share items) {
  return uint64_t{epoch} << 32 | items.begin * first_step | items.end;
}

enum class side : uint8_t { front, back };
constexpr uint32_t nothing = UINT32_MAX;

/// Takes one item of that epoch, or `nothing`.
uint32_t take(std::atomic<uint64_t>& range, uint32_t epoch, side from) {
  uint64_t seen = range.load(std::memory_order_acquire);
  for (;;) {
    const auto begin = static_cast<uint16_t>(seen >> 16), end = static_cast<uint16_t>(seen);
    if (seen >> 32 != epoch || begin == end) return nothing;
    const uint64_t rest = from == side::front ? seen + first_step : seen - 1;
    if (range.compare_exchange_weak(seen, rest, std::memory_order_acquire)) {
      return from == side::front ? begin : end - 1u;
    }
  }
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
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(2, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void team::run(staged_work& work) {
  work_ = &work;
  open_from(0);
  uint32_t epoch = epoch_.load(std::memory_order_acquire);
  while (!is_idle(epoch)) {
    take_part(epoch, 0);
    epoch = wait_while_equal(epoch_, epoch);
  }
}

/// Opens the first stage from `stage` on that has items, or ends the work. By one worker at a
/// time: the caller of run(), then whoever finished the last item of a stage.
void team::open_from(uint32_t stage) {
  const uint32_t n_stages = work_->n_stages();
  uint32_t n = 0;
  while (stage < n_stages && (n = work_->n_items(stage)) == 0) ++stage;
  const uint32_t next = (epoch_.load(std::memory_order_relaxed) & ~idle_bit) + 2;
  if (n > 0) {
    LLMOS_CHECK(n <= staged_work::max_items);
    stage_ = stage;
    unfinished_.store(n, std::memory_order_relaxed);
    for (uint32_t i = 0; i < size_; ++i) {
      queues_[i].range.store(pack(next, share_of(n, i, size_)), std::memory_order_release);
    }
  }
  epoch_.store(n > 0 ? next : next | idle_bit, std::memory_order_release);
  epoch_.notify_all();
}

void team::take_part(uint32_t epoch, uint32_t worker) {
  uint32_t done = 0;
  for (uint32_t i = 0; i < size_; ++i) {
    std::atomic<uint64_t>& range = queues_[(worker + i) % size_].range;
    const side from = i == 0 ? side::front : side::back;
    for (uint32_t item; (item = take(range, epoch, from)) != nothing; ++done) {
      work_->run(stage_, item, worker);
    }
  }
  if (done == 0) return;
  if (unfinished_.fetch_sub(done, std::memory_order_acq_rel) == done) open_from(stage_ + 1);
}

void team::work(uint32_t worker) {
  for (uint32_t epoch = 1;;) {
    epoch = wait_while_equal(epoch_, epoch);
    if (stop_.load(std::memory_order_relaxed)) return;
    take_part(epoch, worker);
  }
}

}  // namespace llmos::cpu
