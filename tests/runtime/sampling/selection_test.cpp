#include "runtime/sampling/selection.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "runtime/sampling/dispatch.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using floats = std::vector<float>;
using ids = std::vector<token_id>;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

floats random_logits(std::mt19937& rng, size_t n) {
  const uint32_t levels = rng() % 2 ? 1 + rng() % 40 : 1u << 24;  // few levels: many ties
  const bool has_gaps = rng() % 2;
  const bool is_comb = rng() % 4 == 0;  // one likely token in each column
  floats out(n);
  for (size_t i = 0; i < n; ++i) {
    out[i] = float(rng() % levels) / float(levels) + (is_comb && i % 2048 < 32 ? 2.0f : 0.0f);
    if (has_gaps && rng() % 4 == 0) out[i] = -inf;
  }
  return out;
}

/// The ids of the k largest above -infinity, ascending.
ids largest(const floats& logits, size_t k) {
  ids out;
  for (token_id id = 0; id < std::ssize(logits); ++id) {
    if (logits[size_t(id)] > -inf) out.push_back(id);
  }
  const auto logit = [&](token_id id) { return -logits[size_t(id)]; };
  std::ranges::stable_sort(out, {}, logit);
  out.resize(std::min(k, out.size()));
  std::ranges::sort(out);
  return out;
}

ids likeliest(selection& tokens, const pass_table& table, const floats& logits, size_t k) {
  constexpr size_t stripe = column_lanes * column_rows;
  floats tops((logits.size() + stripe - 1) / stripe * column_lanes);
  table.find_tops(logits.data(), logits.size(), tops.data());
  tokens.start(logits, *std::ranges::max_element(tops));
  tokens.keep_likeliest(k, tops);
  ids out;
  for (size_t i = 0; i < tokens.logits().size(); ++i) {
    out.push_back(tokens.id_of(i));
    REQUIRE(tokens.logits()[i] == logits[size_t(out.back())]);
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.sampling.selection") {
  TEST_CASE("the k likeliest are those of a full sort, lower ids first, without -infinity") {
    std::mt19937 rng{4};
    for (const pass_table* table : available_passes()) {
      CAPTURE(table->name);
      selection tokens{*table};
      for (int i = 0; i < test::scaled(2000); ++i) {
        CAPTURE(i);
        const size_t n = 1 + rng() % (i % 10 ? 1000 : 40000);
        const size_t k = 1 + rng() % (i % 3 ? 50 : i % 5 ? 1200 : n);
        const floats logits = random_logits(rng, n);
        REQUIRE(likeliest(tokens, *table, logits, k) == largest(logits, k));
      }
    }
  }
}
