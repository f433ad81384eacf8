#include "runtime/sampling/cut.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "runtime/sampling/dispatch.hpp"
#include "runtime/sampling/weights.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using floats = std::vector<float>;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

/// Logits of one of several shapes with any fractions as weights.
struct sample_list {
  floats logits;
  floats p;
  float top = -inf;
};

float draw_logit(std::mt19937& rng, uint32_t shape) {
  const auto unit = [&] { return float(rng() >> 8) * 0x1p-24f; };
  switch (shape) {
    case 0: return 20 * unit() - 10;
    case 1: return float(rng() % 7) - 3;      // many ties
    case 2: return 5;                         // equal
    case 3: return 1 + 1e-6f * unit();        // a few neighbouring floats
    case 4: return rng() % 2 ? 0.0f : -0.0f;  // equal, unlike bits
    case 5: return rng() % 4 ? -inf : 3 * unit();
    case 6: return std::ldexp(unit(), -int(rng() % 140));  // tiny and denormal
    default: return rng() % 100 ? unit() : 3e38f * (2 * unit() - 1);
  }
}

sample_list random_list(std::mt19937& rng, size_t n) {
  sample_list out;
  const uint32_t shape = rng() % 8;
  for (size_t i = 0; i < n; ++i) out.logits.push_back(draw_logit(rng, shape));
  out.logits[rng() % n] = 1;
  out.top = *std::ranges::max_element(out.logits);
  for (const float x : out.logits) {  // equal logits have equal weights
    const uint32_t hash = (std::hash<float>{}(x) + 1) * 2654435761u;
    out.p.push_back(x == out.top                 ? 1.0f
                    : x == -inf || hash % 5 == 0 ? 0.0f
                                                 : float(hash >> 8) * 0x1p-24f);
  }
  return out;
}

std::vector<candidate> sorted(const sample_list& list, const token_order& order) {
  std::vector<candidate> out;
  for (uint32_t i = 0; i < list.logits.size(); ++i) {
    out.push_back({list.logits[i], i, to_weight(list.p[i])});
  }
  std::sort(out.begin(), out.end(), order);
  return out;
}

/// How many of the sorted candidates weigh at least `target`.
size_t prefix_of(std::span<const candidate> c, uint64_t target) {
  size_t n = 0;
  for (uint64_t sum = 0; sum < target; ++n) sum += c[n].weight;
  return n;
}

uint64_t sum_of(std::span<const candidate> c) {
  uint64_t sum = 0;
  for (const candidate& x : c) sum += x.weight;
  return sum;
}

token_order random_order(std::mt19937& rng, float top) {
  return {top, rng() % 2 ? 0 : double(rng() % 8000) / 1000};
}

std::vector<uint32_t> places_of(std::span<const candidate> c) {
  std::vector<uint32_t> out;
  for (const candidate& x : c) out.push_back(x.place);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_SUITE("runtime.sampling.cut") {
  TEST_CASE("tokens stand by distance to the centre, then by logit, then by place") {
    const token_order likely{3, 0};
    CHECK(likely({3, 9, 0}, {2, 1, 0}));
    CHECK(likely({2, 1, 0}, {2, 2, 0}));
    CHECK(!likely({2, 2, 0}, {2, 2, 0}));
    CHECK(likely({-0.0f, 1, 0}, {0.0f, 2, 0}));
    CHECK(likely({0.0f, 1, 0}, {-0.0f, 2, 0}));
    const token_order nearest_one{3, 1};
    CHECK(nearest_one({2, 9, 0}, {3, 1, 0}));
    CHECK(nearest_one({3, 9, 0}, {1, 1, 0}));  // as far, but likelier
    CHECK(nearest_one({1, 1, 0}, {0.5f, 0, 0}));
  }

  TEST_CASE("the shortest prefix of a given mass is the one a full sort finds") {
    std::mt19937 rng{3};
    for (int i = 0; i < test::scaled(5000); ++i) {
      const sample_list list = random_list(rng, 1 + rng() % (i % 10 ? 40 : 2000));
      const token_order order = random_order(rng, list.top);
      auto want = sorted(list, order);
      const uint64_t target = 1 + (uint64_t{rng()} << 32 | rng()) % sum_of(want);
      want.resize(prefix_of(want, target));

      auto got = sorted(list, token_order{list.top, 2.5});
      got.resize(select_mass(got, target, order));
      REQUIRE(got.back().place == want.back().place);
      REQUIRE(places_of(got) == places_of(want));
    }
  }

  TEST_CASE("the end of a mass is found as by a full sort, however bad the guessed bound") {
    std::mt19937 rng{4};
    std::vector<cut_finder> finders;
    for (const pass_table* table : available_passes()) finders.emplace_back(*table);
    for (int i = 0; i < test::scaled(5000); ++i) {
      CAPTURE(i);
      const sample_list list = random_list(rng, 1 + rng() % (i % 10 ? 300 : 5000));
      const token_order order = random_order(rng, list.top);
      const auto all = sorted(list, order);
      const uint64_t target = 1 + (uint64_t{rng()} << 32 | rng()) % sum_of(all);
      const uint32_t want = all[prefix_of(all, target) - 1].place;
      const float guess = list.top - float(2.001 * order.center) - float(rng() % 20);
      for (const float bound : {std::numeric_limits<float>::lowest(), guess}) {
        for (cut_finder& finder : finders) {
          REQUIRE(finder.find({list.logits, list.p}, order, target, bound) == want);
        }
      }
    }
  }
}
