#include "runtime/sampling/passes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "runtime/sampling/dispatch.hpp"
#include "runtime/sampling/weights.hpp"

using namespace llmos;
using floats = std::vector<float>;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float largest = std::numeric_limits<float>::max();
constexpr size_t sizes[] = {1,  2,   7,   8,   31,   32,   33,   63,  64,
                            65, 511, 512, 513, 2047, 2048, 2049, 9999};

/// At most 30, no NaN; some -infinity, extremes and both zeros.
floats clean_logits(std::mt19937& rng, size_t n) {
  std::normal_distribution<float> normal{0, 8};
  const float odd[] = {-inf, -largest, -1e30f, 0.0f, -0.0f, 1e-40f};
  floats out(n);
  for (float& x : out) x = rng() % 8 ? std::min(normal(rng), 30.0f) : odd[rng() % std::size(odd)];
  out[rng() % n] = 30;
  return out;
}

std::vector<uint32_t> bits_of(const floats& x) {
  std::vector<uint32_t> out;
  for (float v : x) out.push_back(std::bit_cast<uint32_t>(v));
  return out;
}

/// Calls f(table, logits) for every table and size.
template <class F>
void for_each_case(F f) {
  std::mt19937 rng{12};
  for (const size_t n : sizes) {
    const floats logits = clean_logits(rng, n);
    for (const pass_table* table : available_passes()) {
      CAPTURE(table->name);
      CAPTURE(n);
      f(*table, logits);
    }
  }
}

}  // namespace

TEST_SUITE("runtime.sampling.passes") {
  TEST_CASE("what is no number becomes impossible and +infinity the largest float") {
    for (const pass_table* table : available_passes()) {
      CAPTURE(table->name);
      floats x(40, 1.5f), want(40, 1.5f);
      const float odd[] = {std::nanf(""), -std::nanf(""), inf, -inf, largest, -largest, -0.0f};
      const float clean[] = {-inf, -inf, largest, -inf, largest, -largest, -0.0f};
      for (const size_t at : {0, 20, 33}) {
        std::ranges::copy(odd, x.begin() + ptrdiff_t(at));
        std::ranges::copy(clean, want.begin() + ptrdiff_t(at));
      }
      floats got(40);
      table->clean(x.data(), x.size(), got.data());
      CHECK(bits_of(got) == bits_of(want));
    }
  }

  TEST_CASE("a column's top is the largest of every 32nd logit of its stripe") {
    for_each_case([](const pass_table& table, const floats& logits) {
      const size_t stripe = column_lanes * column_rows;
      const size_t num_stripes = (logits.size() + stripe - 1) / stripe;
      floats want(num_stripes * column_lanes, -inf), got(want.size(), 99);
      for (size_t i = 0; i < logits.size(); ++i) {
        float& top = want[i / stripe * column_lanes + i % column_lanes];
        top = std::max(top, logits[i]);
      }
      table.find_tops(logits.data(), logits.size(), got.data());
      CHECK(got == want);
    });
  }

  TEST_CASE("weights are those of each logit alone, the same bits in every table") {
    for (const float temperature : {1.0f, 0.8f, 37.0f, 1e-30f}) {
      for_each_case([&](const pass_table& table, const floats& logits) {
        floats want;
        uint64_t sum = 0;
        for (const float x : logits) {
          floats e{(x - 30) / temperature};
          exp_nonpositive(e);
          want.push_back(e[0]);
          sum += to_weight(e[0]);
        }
        floats got(logits.size());
        CHECK(table.weigh(logits.data(), logits.size(), 30, temperature, got.data()) == sum);
        CHECK(bits_of(got) == bits_of(want));
      });
    }
  }

  TEST_CASE("distances are weighed one by one and rounded down") {
    for_each_case([](const pass_table& table, const floats& logits) {
      floats p(logits.size());
      table.weigh(logits.data(), logits.size(), 30, 1, p.data());
      uint64_t want = 0;
      for (size_t i = 0; i < p.size(); ++i) {
        const uint64_t weight = to_weight(p[i]);
        if (weight > 0) want += uint64_t(double(weight) * (30.0 - double(logits[i])));
      }
      CHECK(table.sum_distances(logits.data(), p.data(), p.size(), 30) == want);
    });
  }

  TEST_CASE("exactly the places at and above the bound are listed") {
    for (const float bound : {-largest, -3.0f, 0.0f, 8.0f, 30.0f, 31.0f}) {
      for_each_case([&](const pass_table& table, const floats& logits) {
        std::vector<uint32_t> want, got(logits.size());
        for (uint32_t i = 0; i < logits.size(); ++i) {
          if (logits[i] >= bound) want.push_back(5 + i);
        }
        got.resize(table.list_at_least(logits.data(), logits.size(), bound, 5, got.data()));
        CHECK(got == want);
      });
    }
  }
}
