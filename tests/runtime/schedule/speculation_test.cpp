#include "runtime/schedule/speculation.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace llmos;

namespace {

/// A text in the middle of a repetition of `n` tokens.
prompt_lookup repeating(token_id n) {
  std::vector<token_id> text;
  for (int round = 0; round < 2; ++round) {
    for (token_id i = 0; i < n; ++i) text.push_back(100 + i);
  }
  prompt_lookup out{static_cast<uint32_t>(n), 1000};
  out.extend(text);
  return out;
}

std::vector<uint32_t> share(std::vector<draft_bid> bids, uint32_t rows, double row_cost) {
  share_drafts(bids, rows, row_cost);
  std::vector<uint32_t> out;
  for (const auto& b : bids) out.push_back(b.given);
  return out;
}

}  // namespace

TEST_SUITE("runtime.schedule.speculation") {
  TEST_CASE("what a row costs is usual at first, then what steps show") {
    struct row {
      const char* name;
      double first_us, row_us;
      double want;
    };
    const row table[] = {{"cheap rows", 4000, 600, 0.15},
                         {"dear rows", 4000, 2000, 0.5},
                         {"every row a step", 4000, 4000, 1},
                         {"rows for nothing", 4000, 0, 0.05}};
    CHECK(step_cost{}.of_row() == 0.25);
    for (const auto& r : table) {
      CAPTURE(r.name);
      step_cost cost;
      std::mt19937 rng{1};
      for (int i = 0; i < 400; ++i) {
        const uint32_t rows = rng() % 4 == 0 ? 1 + rng() % 8 : 1;
        const double noise = 0.8 + 0.4 * static_cast<double>(rng() % 1000) / 1000;
        cost.observe(rows, static_cast<uint64_t>((r.first_us + r.row_us * (rows - 1)) * noise));
      }
      CHECK(cost.of_row() == doctest::Approx(r.want).epsilon(0.2));
    }
  }

  TEST_CASE("steps that are all alike say nothing of what a row costs, and old ones fade") {
    step_cost cost;
    for (int i = 0; i < 10; ++i) cost.observe(4, 16000);
    CHECK(cost.of_row() == doctest::Approx(0.25));
    for (int i = 0; i < 50; ++i) cost.observe(1 + i % 4, 1000 * static_cast<uint64_t>(1 + i % 4));
    CHECK(cost.of_row() > 0.8);
    for (int i = 0; i < 3000; ++i) cost.observe(1, 1000);
    CHECK(cost.of_row() == doctest::Approx(0.25).epsilon(0.02));
  }

  TEST_CASE("guesses get rows for as long as tokens per time go up") {
    const auto sure = repeating(60), unsure = repeating(2);
    CHECK(share({{&sure, max_drafts}}, 16, 0.25) == std::vector<uint32_t>{7});
    CHECK(share({{&sure, 3}}, 16, 0.25) == std::vector<uint32_t>{3});
    CHECK(share({{&sure, max_drafts}}, 2, 0.25) == std::vector<uint32_t>{2});
    CHECK(share({{&sure, 0}}, 16, 0.25) == std::vector<uint32_t>{0});
    CHECK(share({{&sure, max_drafts}}, 16, 1) == std::vector<uint32_t>{0});
    const auto few = share({{&unsure, max_drafts}}, 16, 0.25)[0];
    CHECK(few >= 1);
    CHECK(few < 7);
    CHECK(share({{&unsure, max_drafts}}, 16, 0.6)[0] == 0);
    CHECK(share({}, 16, 0.25).empty());
  }

  TEST_CASE("the likelier guesses come first") {
    const auto sure = repeating(60), unsure = repeating(2);
    const auto got = share({{&unsure, max_drafts}, {&sure, max_drafts}}, 7, 0.1);
    CHECK(got == std::vector<uint32_t>{0, 7});
  }

  TEST_CASE("the more sequences decode, the surer a guess has to be") {
    const auto sure = repeating(60), unsure = repeating(6);
    const prompt_lookup nothing{1, 10};
    const auto rows_among = [&](size_t others, const prompt_lookup& x) {
      std::vector<draft_bid> bids(others, {&nothing, max_drafts});
      bids.push_back({&x, max_drafts});
      return share(bids, 16, 0.25).back();
    };
    CHECK(rows_among(0, unsure) > rows_among(3, unsure));
    CHECK(rows_among(3, unsure) > 0);
    CHECK(rows_among(7, unsure) == 0);
    CHECK(rows_among(7, sure) > 0);
    CHECK(rows_among(999, sure) == 0);
  }
}
