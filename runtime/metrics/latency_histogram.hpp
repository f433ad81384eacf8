#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace llmos {

/// Durations in seconds, counted in buckets of equal ratio from 100 us to 600 s; count, sum,
/// smallest and largest are exact. A plain value of fixed size.
class latency_histogram {
public:
  /// Upper bounds, ascending, from 100 us to 600 s: eight to each factor of ten and the last. A
  /// value equal to a bound lies below it.
  static constexpr size_t num_bounds = 56;
  static std::span<const double> bounds();

  /// What another program's histogram has seen; nothing when that cannot be: other buckets, or
  /// times that contradict each other.
  static std::optional<latency_histogram> restored(std::span<const uint64_t> buckets, double sum,
                                                   double min, double max);

  /// REQUIRES: seconds >= 0 and finite.
  void observe(double seconds);

  /// Adds what `other` has seen.
  void merge(const latency_histogram& other);

  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  /// 0 while empty, as the three below.
  double mean() const;
  double min() const { return min_; }
  double max() const { return max_; }

  /// Estimate of the value below which a share q of all observations lies: within the bucket of
  /// the true one (a factor of 1.34), and exact where all observations are equal.
  /// REQUIRES: 0 <= q <= 1.
  double quantile(double q) const;

  /// [num_bounds + 1] observations per bucket; the last is for those above all bounds.
  std::span<const uint64_t> buckets() const { return buckets_; }

private:
  std::array<uint64_t, num_bounds + 1> buckets_{};
  uint64_t count_ = 0;
  double sum_ = 0;
  double min_ = 0;
  double max_ = 0;
};

}  // namespace llmos
