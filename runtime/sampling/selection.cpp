#include "runtime/sampling/selection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

constexpr float lowest = std::numeric_limits<float>::lowest();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// What is this much less likely than the likeliest has no weight.
constexpr double weightless_nats = 28;

}  // namespace

void selection::start(std::span<const float> logits, float top) {
  if (p_.size() < logits.size()) {
    kept_logits_.resize(logits.size());
    kept_ids_.resize(logits.size());
    p_.resize(logits.size());
    places_.resize(logits.size());
    finder_.reserve(logits.size());
  }
  logits_ = logits;
  top_ = top;
  has_all_ = true;
}

uint64_t selection::weigh(float temperature) {
  return passes_->weigh(logits_.data(), logits_.size(), top_, temperature, p_.data());
}

void selection::keep_likeliest(size_t k, std::span<const float> tops) {
  float bound = guess_kth(k, tops);
  size_t n = list_at_least(bound);
  if (n < k && bound > lowest) {
    bound = lowest;
    n = list_at_least(bound);
  }
  if (n > 4 * k && keep_tied(k, bound)) return;
  keep_listed(n);
  if (n <= k) return;
  std::fill_n(p_.begin(), n, 0x1p-40f);  // a weight of 1: to count
  keep_likely_until(find_likely(k, lowest));
}

void selection::keep_typical(float mass) {
  // With D the distance of a logit to the largest one, -ln p - H = D - E[D]: the normaliser drops
  // out. The mean is of integers again, so that it does not depend on the order.
  const uint64_t total = weigh(1.0f);
  const uint64_t distances =
      passes_->sum_distances(logits_.data(), p_.data(), logits_.size(), top_);
  const token_order order{top_, static_cast<double>(distances) / static_cast<double>(total)};
  const uint64_t target = share(mass, total) + 1;
  // Tokens farther than 2 E[D] stand after all that are likelier than they: below that, as in an
  // order of likelihood, any bound will do.
  const float far = top_ - static_cast<float>(2.001 * order.center);
  const float bound = std::max(lowest, std::min(far, guess_bound(total - target, 1.0f)));
  const auto p = std::span(p_).first(logits_.size());
  keep_listed(list_until(order, finder_.find({logits_, p}, order, target, bound)));
  top_ = max_of(logits_);
}

void selection::keep_top_mass(float mass) {
  const uint64_t total = weigh(1.0f);
  const double target = std::ceil(static_cast<double>(mass) * static_cast<double>(total));
  const auto reached = static_cast<uint64_t>(target);
  keep_likely_until(find_likely(reached, guess_bound(total - reached, 1.0f)));
}

void selection::keep_at_least(float min_p) {
  weigh(1.0f);
  const float least = std::ceil(min_p * 0x1p40f) * 0x1p-40f;  // the likeliest has p = 1
  keep_listed(passes_->list_at_least(p_.data(), logits_.size(), least, 0, places_.data()));
}

token_id selection::draw(float uniform, float temperature) {
  const uint64_t total = weigh(temperature);
  const uint64_t target = share(uniform, total) + 1;
  return id_of(find_likely(target, guess_bound(total - target, temperature)));
}

/// About the k-th largest logit, rather less. k columns have a logit of at least the k-th largest
/// top, and where likely tokens stand anywhere, fewer columns hold k of them.
float selection::guess_kth(size_t k, std::span<const float> tops) {
  const auto size = static_cast<double>(logits_.size()), columns = static_cast<double>(tops.size());
  const double misses = std::pow(1 - std::min(1.0, static_cast<double>(k) / size), size / columns);
  const size_t rank = std::min(k, static_cast<size_t>(1.1 * columns * (1 - misses)) + 8);
  if (rank >= tops.size()) return lowest;
  tops_.assign(tops.begin(), tops.end());
  const auto found = tops_.begin() + static_cast<ptrdiff_t>(rank - 1);
  std::ranges::nth_element(tops_, found, std::ranges::greater{});
  return std::max(lowest, *found);
}

/// Keeps the k likeliest of more listed tokens if only some at `bound`, the lowest, have to go.
bool selection::keep_tied(size_t k, float bound) {
  const auto above =
      static_cast<size_t>(std::ranges::count_if(logits_, [bound](float x) { return x > bound; }));
  if (above >= k) return false;
  size_t i = 0;
  for (size_t tied = k - above; tied > 0; ++i) tied -= logits_[places_[i]] == bound;
  keep_likely_until(places_[i - 1]);
  return true;
}

uint32_t selection::find_likely(uint64_t target, float bound) {
  return finder_.find({logits_, std::span(p_).first(logits_.size())}, {top_, 0}, target, bound);
}

/// A logit such that the tokens below it weigh `tail` at most: each of the n tokens less than the
/// n-th part of it, or nothing.
float selection::guess_bound(uint64_t tail, float temperature) const {
  const double part = static_cast<double>(tail) / static_cast<double>(logits_.size());
  const double nats = std::max(std::log(part * 0x1p-40) - 0.001, -weightless_nats);
  return std::max(lowest, top_ + static_cast<float>(nats) * temperature);
}

/// Lists the tokens up to that at `place` in the order; returns how many.
size_t selection::list_until(const token_order& order, uint32_t place) {
  const candidate last{logits_[place], place};
  const double farthest = order.center + order.key(last.logit);
  const auto bound = static_cast<float>(static_cast<double>(top_) - 1.000001 * farthest);
  const size_t near = list_at_least(std::max(lowest, bound));
  size_t n = 0;
  for (size_t i = 0; i < near; ++i) {
    const uint32_t at = places_[i];
    places_[n] = at;
    n += !order(last, {logits_[at], at});
  }
  return n;
}

/// Lists the tokens at `bound` and above; returns how many.
size_t selection::list_at_least(float bound) {
  return passes_->list_at_least(logits_.data(), logits_.size(), bound, 0, places_.data());
}

/// Keeps the tokens at the first n of places_.
void selection::keep_listed(size_t n) {
  if (n == logits_.size()) return;
  // In place where tokens went before: no place lies before its new one.
  for (size_t i = 0; i < n; ++i) kept_logits_[i] = logits_[places_[i]];
  for (size_t i = 0; i < n; ++i) kept_ids_[i] = id_of(places_[i]);
  logits_ = std::span(kept_logits_).first(n);
  has_all_ = false;
}

/// Keeps the tokens at `place` and before it in the order of likelihood.
void selection::keep_likely_until(uint32_t place) {
  const float last = logits_[place];
  const size_t after = size_t{place} + 1;
  size_t n = passes_->list_at_least(logits_.data(), after, last, 0, places_.data());
  n += passes_->list_at_least(logits_.data() + after, logits_.size() - after,
                              std::nextafter(last, infinity), place + 1, places_.data() + n);
  keep_listed(n);
}

}  // namespace llmos
