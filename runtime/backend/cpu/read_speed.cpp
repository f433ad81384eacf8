#include "runtime/backend/cpu/read_speed.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

namespace llmos::cpu {

namespace {

constexpr size_t num_words = (size_t{256} << 20) / sizeof(uint64_t);

/// One thread's share; the sum keeps the reads from being left out.
double walk_speed(size_t n, std::atomic<uint64_t>& sum) {
  const std::vector<uint64_t> words(n, 1);
  double best = 0;
  for (int walk = 0; walk < 3; ++walk) {
    const auto start = std::chrono::steady_clock::now();
    sum += std::accumulate(words.begin(), words.end(), uint64_t{0});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(n * sizeof(uint64_t)) / took.count());
  }
  return best;
}

}  // namespace

double read_speed(uint32_t num_threads) {
  std::vector<double> speeds(num_threads);
  std::atomic<uint64_t> sum = 0;
  std::vector<std::jthread> threads;
  for (double& speed : speeds) {
    threads.emplace_back([&] { speed = walk_speed(num_words / num_threads, sum); });
  }
  threads.clear();
  return std::accumulate(speeds.begin(), speeds.end(), 0.0);
}

}  // namespace llmos::cpu
