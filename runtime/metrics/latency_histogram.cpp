#include "runtime/metrics/latency_histogram.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.hpp"

namespace llmos {

std::span<const double> latency_histogram::bounds() {
  static const std::array<double, num_bounds> all = [] {
    std::array<double, num_bounds> out;
    for (size_t i = 0; i < num_bounds; ++i) out[i] = 1e-4 * std::pow(10.0, double(i) / 8);
    out.back() = 600;
    return out;
  }();
  return all;
}

std::optional<latency_histogram> latency_histogram::restored(std::span<const uint64_t> buckets,
                                                             double sum, double min, double max) {
  latency_histogram out;
  if (buckets.size() != out.buckets_.size()) return std::nullopt;
  if (!(0 <= min && min <= max) || !std::isfinite(max) || !std::isfinite(sum)) return std::nullopt;
  std::copy(buckets.begin(), buckets.end(), out.buckets_.begin());
  for (const uint64_t n : buckets) out.count_ += n;
  out.sum_ = sum;
  out.min_ = min;
  out.max_ = max;
  return out;
}

void latency_histogram::observe(double seconds) {
  LLMOS_CHECK(seconds >= 0 && std::isfinite(seconds));
  const auto all = bounds();
  ++buckets_[static_cast<size_t>(std::ranges::lower_bound(all, seconds) - all.begin())];
  min_ = count_ == 0 ? seconds : std::min(min_, seconds);
  max_ = std::max(max_, seconds);
  ++count_;
  sum_ += seconds;
}

void latency_histogram::merge(const latency_histogram& other) {
  if (other.count_ == 0) return;
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
}

double latency_histogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

double latency_histogram::quantile(double q) const {
  LLMOS_CHECK(q >= 0 && q <= 1);
  if (count_ == 0) return 0;
  const double rank = q * static_cast<double>(count_);
  size_t i = 0;
  double before = 0;  // observations in the buckets below
  while (before + static_cast<double>(buckets_[i]) < rank || buckets_[i] == 0) {
    before += static_cast<double>(buckets_[i++]);
  }
  const double low = i == 0 ? 0 : bounds()[i - 1];
  const double high = i == num_bounds ? max_ : bounds()[i];
  const double inside = (rank - before) / static_cast<double>(buckets_[i]);
  return std::clamp(low + inside * (high - low), min_, max_);
}

}  // namespace llmos
