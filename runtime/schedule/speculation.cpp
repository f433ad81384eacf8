#include "runtime/schedule/speculation.hpp"

#include <algorithm>
#include <vector>

namespace llmos {

namespace {

/// Measured with SmolLM2-135M Q4_1 on two cores: 0.15 (AMX), 0.2 (AVX-512), 0.3 (AVX2).
constexpr double usual_row_cost = 0.25;
/// As much as two steps with four rows among steps with one tell.
constexpr double usual_weight = 16;
constexpr double fading = 0.995;  // of a step, with each later one
/// What a guess must promise, as a share of what its row costs: both are estimates.
constexpr double margin = 1.1;

}  // namespace

void step_cost::observe(uint32_t rows, uint64_t us) {
  const double x = rows, y = static_cast<double>(us);
  n_ = n_ * fading + 1;
  x_ = x_ * fading + x;
  y_ = y_ * fading + y;
  xx_ = xx_ * fading + x * x;
  xy_ = xy_ * fading + x * y;
}

/// Least squares with the usual slope as if it had been seen in `usual_weight`:
/// slope · (var + w) = cov + w · usual · first, where first = mean_us - slope · (mean_rows - 1).
double step_cost::of_row() const {
  if (y_ <= 0) return usual_row_cost;
  const double further = x_ / n_ - 1, us = y_ / n_;
  const double var = xx_ - x_ * x_ / n_, cov = xy_ - x_ * y_ / n_;
  const double usual = usual_weight * usual_row_cost;
  const double slope = (cov + usual * us) / (var + usual_weight + usual * further);
  const double first = us - slope * further;
  return first <= 0 ? 1 : std::clamp(slope / first, 0.05, 1.0);
}

void share_drafts(std::span<draft_bid> bids, uint32_t rows, double row_cost) {
  if (bids.empty()) return;
  std::vector<double> chances;  // that the next guess of each bid and all before it come true
  for (const auto& b : bids) chances.push_back(b.room == 0 ? 0 : b.lookup->chance(0));
  double tokens = static_cast<double>(bids.size());
  double cost = 1 + row_cost * (tokens - 1);
  for (; rows > 0; --rows) {
    const auto best = std::max_element(chances.begin(), chances.end());
    if (*best * cost <= margin * row_cost * tokens) return;  // no faster with it
    tokens += *best;
    cost += row_cost;
    auto& b = bids[static_cast<size_t>(best - chances.begin())];
    *best = ++b.given == b.room ? 0 : *best * b.lookup->chance(b.given);
  }
}

}  // namespace llmos
