#include "runtime/sampling/select.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <random>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

std::vector<candidate> random_candidates(std::mt19937& rng, size_t n) {
  std::vector<candidate> out(n);
  const uint32_t levels = 1 + rng() % 40;  // few levels: many ties
  for (size_t i = 0; i < n; ++i) {
    out[i] = {float(rng() % levels) - 20, static_cast<token_id>(i), rng() % 5 ? rng() % 1000 : 0};
  }
  out[rng() % n].weight = 7;  // not all 0
  return out;
}

std::vector<token_id> ids_of(std::span<const candidate> c) {
  std::vector<token_id> out;
  for (const candidate& x : c) out.push_back(x.id);
  return out;
}

}  // namespace

TEST_SUITE("runtime.sampling.select") {
  TEST_CASE("the shortest prefix of a given mass is the one a full sort finds") {
    std::mt19937 rng{3};
    for (int i = 0; i < test::scaled(5000); ++i) {
      auto c = random_candidates(rng, 1 + rng() % (i % 10 ? 40 : 2000));
      auto sorted = c;
      std::sort(sorted.begin(), sorted.end(), likelier{});
      uint64_t total = 0;
      for (const candidate& x : c) total += x.weight;
      const uint64_t target = 1 + rng() % total;
      size_t want = 0;
      for (uint64_t sum = 0; sum < target; ++want) sum += sorted[want].weight;
      sorted.resize(want);

      auto d = c;
      const size_t got = select_mass(c, target, likelier{});
      REQUIRE(got == want);
      REQUIRE(select_likeliest(d, target, 0.5f + float(rng() % 4)) == want);
      REQUIRE(c[want - 1].id == sorted.back().id);
      REQUIRE(d[want - 1].id == sorted.back().id);
      for (auto* x : {&c, &d}) {
        x->resize(want);
        std::sort(x->begin(), x->end(), likelier{});
        REQUIRE(ids_of(*x) == ids_of(sorted));
      }
    }
  }

  TEST_CASE("the k likeliest are those of a full sort, lower ids first, without -infinity") {
    std::mt19937 rng{4};
    std::vector<candidate> got;
    for (int i = 0; i < test::scaled(2000); ++i) {
      const auto all = random_candidates(rng, 1 + rng() % 1000);
      std::vector<float> logits;
      for (const candidate& x : all) {
        logits.push_back(rng() % 4 ? x.logit : -std::numeric_limits<float>::infinity());
      }
      std::vector<candidate> want;
      select_possible(logits, want);
      REQUIRE(want.size() <= logits.size());
      std::sort(want.begin(), want.end(), likelier{});
      const size_t k = rng() % (i % 2 ? 50 : 1200);
      want.resize(std::min(k, want.size()));
      select_top(logits, k, got);
      REQUIRE(ids_of(got) == ids_of(want));
    }
  }
}
