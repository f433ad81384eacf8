#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "runtime/sampling/sampler.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using doubles = std::vector<double>;

namespace {

// The definitions once more, in double and with the C library's functions, so that the draws are
// compared with what the words mean and not with the sampler's own arithmetic.

doubles softmax(const doubles& logits) {
  const double top = *std::ranges::max_element(logits);
  doubles p;
  for (double x : logits) p.push_back(std::exp(x - top));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

/// Sets the logits to -infinity that `kept` does not name.
void keep(doubles& logits, const std::vector<size_t>& kept) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::ranges::count(kept, i)) logits[i] = -INFINITY;
  }
}

std::vector<size_t> ordered(size_t n, const std::function<double(size_t)>& key) {
  std::vector<size_t> out(n);
  std::iota(out.begin(), out.end(), size_t{0});
  std::ranges::stable_sort(out, std::less{}, key);
  return out;
}

/// The first of `order` whose mass reaches p.
std::vector<size_t> first_mass(std::vector<size_t> order, const doubles& p, double mass) {
  size_t n = 0;
  for (double sum = 0; sum < mass && n < order.size(); ++n) sum += p[order[n]];
  order.resize(n);
  return order;
}

doubles expected(const sampling_params& s, doubles logits) {
  const size_t n = logits.size();
  if (s.top_k > 0 && size_t(s.top_k) < n) {
    auto order = ordered(n, [&](size_t i) { return -logits[i]; });
    order.resize(size_t(s.top_k));
    keep(logits, order);
  }
  if (s.typical_p < 1) {
    const doubles p = softmax(logits);
    double entropy = 0;
    for (double x : p) entropy -= x > 0 ? x * std::log(x) : 0;
    const auto order = ordered(n, [&](size_t i) { return std::abs(-std::log(p[i]) - entropy); });
    keep(logits, first_mass(order, p, double(s.typical_p)));
  }
  if (s.top_p < 1) {
    const doubles p = softmax(logits);
    keep(logits, first_mass(ordered(n, [&](size_t i) { return -p[i]; }), p, double(s.top_p)));
  }
  if (s.min_p > 0) {
    const doubles p = softmax(logits);
    const double least = double(s.min_p) * *std::ranges::max_element(p);
    for (size_t i = 0; i < n; ++i) logits[i] = p[i] < least ? -INFINITY : logits[i];
  }
  for (double& x : logits) x /= double(s.temperature);
  return softmax(logits);
}

/// Upper 0.1 % point of chi-square with k degrees of freedom (Wilson and Hilferty, 1931).
double chi_square_limit(double k) {
  const double a = 2 / (9 * k);
  return k * std::pow(1 - a + 3.09 * std::sqrt(a), 3);
}

}  // namespace

TEST_SUITE("runtime.sampling.sampler_distribution") {
  TEST_CASE("draws are distributed as each filter's definition says") {
    struct row {
      const char* name;
      void (*set)(sampling_params&);
    };
    const row rows[] = {
        {"none", [](auto&) {}},
        {"temperature 0.5", [](auto& p) { p.temperature = 0.5f; }},
        {"temperature 3", [](auto& p) { p.temperature = 3; }},
        {"top_k", [](auto& p) { p.top_k = 7; }},
        {"top_p", [](auto& p) { p.top_p = 0.8f; }},
        {"min_p", [](auto& p) { p.min_p = 0.1f; }},
        {"typical_p", [](auto& p) { p.typical_p = 0.7f; }},
        {"top_p with temperature",
         [](auto& p) {
           p.top_p = 0.8f;
           p.temperature = 2;
         }},
        {"all",
         [](auto& p) {
           p.top_k = 25;
           p.typical_p = 0.95f;
           p.top_p = 0.9f;
           p.min_p = 0.05f;
           p.temperature = 1.5f;
         }},
    };
    std::mt19937 rng{8};
    std::normal_distribution<float> normal{0, 1.5f};
    const int draws = test::scaled(100000);
    for (const row& r : rows) {
      CAPTURE(r.name);
      std::vector<float> logits(40);
      for (float& x : logits) x = normal(rng);
      sampling_params p;
      p.temperature = 1;
      p.top_k = 0;
      p.top_p = 1;
      p.min_p = 0;
      p.seed = rng();
      r.set(p);

      const doubles want = expected(p, doubles(logits.begin(), logits.end()));
      std::vector<int> seen(logits.size());
      sampler s{p, {}, static_cast<uint32_t>(logits.size())};
      for (int i = 0; i < draws; ++i) ++seen[s.sample(logits, {}, uint32_t(i)).id];

      double chi_square = 0;
      int cells = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        if (want[i] == 0) CHECK(seen[i] == 0);
        if (want[i] == 0) continue;
        const double n = want[i] * draws;
        chi_square += (seen[i] - n) * (seen[i] - n) / n;
        ++cells;
      }
      CHECK(cells > 1);
      CHECK(chi_square < chi_square_limit(cells - 1));
    }
  }
}
