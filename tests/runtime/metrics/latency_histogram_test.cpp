#include "runtime/metrics/latency_histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <tuple>
#include <vector>

using namespace llmos;

TEST_SUITE("runtime.metrics.latency_histogram") {
  TEST_CASE("bounds go from 100 us to 600 s by equal ratios") {
    const auto bounds = latency_histogram::bounds();
    CHECK(bounds.front() == 1e-4);
    CHECK(bounds.back() == 600);
    for (size_t i = 1; i < bounds.size(); ++i) {
      const double ratio = bounds[i] / bounds[i - 1];
      REQUIRE(ratio > 1);
      REQUIRE(ratio <= 1.34);
    }
  }

  TEST_CASE("an observation lies in the bucket below its bound, above the last in one of its own") {
    const auto bounds = latency_histogram::bounds();
    struct row {
      double seconds;
      size_t bucket;
    };
    for (const row& r :
         {row{0, 0}, row{1e-4, 0}, row{std::nextafter(1e-4, 1.0), 1}, row{bounds[20], 20},
          row{600, bounds.size() - 1}, row{601, bounds.size()}}) {
      CAPTURE(r.seconds);
      latency_histogram h;
      h.observe(r.seconds);
      CHECK(h.buckets()[r.bucket] == 1);
      CHECK(std::accumulate(h.buckets().begin(), h.buckets().end(), uint64_t{0}) == 1);
      CHECK(h.min() == r.seconds);
      CHECK(h.max() == r.seconds);
      for (double q : {0.0, 0.5, 1.0}) CHECK(h.quantile(q) == r.seconds);
    }
  }

  TEST_CASE("an empty histogram is all zero") {
    const latency_histogram h;
    CHECK(h.count() == 0);
    CHECK(h.mean() == 0);
    CHECK(h.max() == 0);
    CHECK(h.quantile(0.99) == 0);
  }

  TEST_CASE("count, sum, extremes are exact and quantiles within one bucket") {
    std::mt19937 rng{2};
    std::lognormal_distribution<double> times{-4, 1.5};
    std::vector<double> seen;
    latency_histogram h;
    for (int i = 0; i < 5000; ++i) {
      seen.push_back(times(rng));
      h.observe(seen.back());
    }
    std::sort(seen.begin(), seen.end());
    CHECK(h.count() == seen.size());
    CHECK(h.sum() == doctest::Approx(std::accumulate(seen.begin(), seen.end(), 0.0)));
    CHECK(h.min() == seen.front());
    CHECK(h.max() == seen.back());
    CHECK(h.quantile(0) == seen.front());
    CHECK(h.quantile(1) == seen.back());
    for (double q : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
      CAPTURE(q);
      const double want = seen[static_cast<size_t>(q * double(seen.size()))];
      CHECK(h.quantile(q) < want * 1.34);
      CHECK(h.quantile(q) > want / 1.34);
    }
  }

  TEST_CASE("what is told of a histogram makes the same one, or none when it cannot be") {
    latency_histogram x;
    for (const double seconds : {0.001, 0.5, 0.02, 700.0}) x.observe(seconds);
    const auto same = latency_histogram::restored(x.buckets(), x.sum(), x.min(), x.max());
    REQUIRE(same);
    CHECK(same->count() == 4);
    CHECK(same->mean() == x.mean());
    for (const double q : {0.0, 0.5, 0.9, 1.0}) CHECK(same->quantile(q) == x.quantile(q));
    const auto others = x.buckets().first(10);
    CHECK_FALSE(latency_histogram::restored(others, x.sum(), x.min(), x.max()));
    CHECK_FALSE(latency_histogram::restored(x.buckets(), x.sum(), 2, 1));
    CHECK_FALSE(latency_histogram::restored(x.buckets(), x.sum(), -1, 1));
    const double none = std::numeric_limits<double>::quiet_NaN();
    for (const auto& [sum, min, max] : {std::tuple{none, 0., 1.}, {1., none, 1.}, {1., 0., none}}) {
      CHECK_FALSE(latency_histogram::restored(x.buckets(), sum, min, max));
    }
  }

  TEST_CASE("merging equals having seen both") {
    latency_histogram a, b, both;
    for (double x : {0.5, 0.001, 700.0}) a.observe(x), both.observe(x);
    for (double x : {0.0001, 3.0}) b.observe(x), both.observe(x);
    a.merge(latency_histogram{});
    a.merge(b);
    CHECK(a.count() == both.count());
    CHECK(a.sum() == doctest::Approx(both.sum()));
    CHECK(a.min() == both.min());
    CHECK(a.max() == both.max());
    CHECK(std::ranges::equal(a.buckets(), both.buckets()));
    latency_histogram from_empty;
    from_empty.merge(b);
    CHECK(from_empty.min() == b.min());
  }
}
