#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "runtime/backend/backend.hpp"

using namespace llmos;

namespace {

constexpr uint32_t n_vocab = 100;
constexpr backend_limits limits{.max_rows = 8,
                                .max_logits = 3,
                                .max_seqs = 2,
                                .max_context = 40,
                                .num_blocks = 10,
                                .block_tokens = 16};

/// A step of two sequences that is right: 3 rows of a prompt and one more token of another.
struct batch_parts {
  std::vector<token_id> tokens = {1, 2, 3, 99};
  std::vector<block_id> first = {0};
  std::vector<block_id> second = {9, 4, 7};
  std::vector<sequence_rows> seqs = {{.first_row = 0, .num_rows = 3, .num_past = 0},
                                     {.first_row = 3, .num_rows = 1, .num_past = 39}};
  std::vector<uint32_t> logit_rows = {2, 3};

  uint32_t n_before = 0;

  result<void> check() {
    if (!seqs.empty()) seqs[0].blocks = first;
    if (seqs.size() > 1) seqs[1].blocks = second;
    return validate({tokens, seqs, logit_rows}, limits, n_vocab, n_before);
  }
};

}  // namespace

TEST_SUITE("runtime.backend.validate") {
  TEST_CASE("a batch that fills the limits is accepted") {
    batch_parts parts;
    CHECK(parts.check().ok());
    parts.tokens.assign(8, 0);
    parts.seqs[0].num_rows = 7;
    parts.seqs[1].first_row = 7;
    parts.logit_rows = {0, 6, 7};
    CHECK(parts.check().ok());
    parts.logit_rows = {};
    CHECK(parts.check().ok());
  }

  TEST_CASE("what breaks a limit or the layout is refused and named") {
    struct row {
      const char* name;
      void (*change)(batch_parts&);
      const char* text;
    };
    const row table[] = {
        {"empty",
         [](batch_parts& p) {
           p.tokens.clear();
           p.seqs.clear();
           p.logit_rows.clear();
         },
         "step: has no rows"},
        {"too many rows",
         [](batch_parts& p) {
           p.tokens.assign(9, 0);
           p.seqs[0].num_rows = 8;
           p.seqs[1].first_row = 8;
         },
         "step: has rows: 9, the limit is 8"},
        {"too many sequences",
         [](batch_parts& p) {
           p.tokens.push_back(0);
           p.seqs.push_back({.first_row = 4, .num_rows = 1, .blocks = p.first});
         },
         "step: has sequences: 3, the limit is 2"},
        {"token behind the vocabulary", [](batch_parts& p) { p.tokens[3] = 100; },
         "step: token 100 is not in the vocabulary of 100"},
        {"negative token", [](batch_parts& p) { p.tokens[0] = -1; },
         "step: token -1 is not in the vocabulary of 100"},
        {"sequence without rows", [](batch_parts& p) { p.seqs[0].num_rows = 0; },
         "step: sequence 0 has no rows"},
        {"gap between sequences", [](batch_parts& p) { p.seqs[0].num_rows = 2; },
         "step: sequence 1 starts at row 3, expected 2"},
        {"rows of two sequences", [](batch_parts& p) { p.seqs[1].first_row = 2; },
         "step: sequence 1 starts at row 2, expected 3"},
        {"tokens of nobody", [](batch_parts& p) { p.tokens.push_back(0); },
         "step: has 5 tokens, but its sequences cover 4"},
        {"more rows than tokens", [](batch_parts& p) { p.seqs[1].num_rows = ~0u; },
         "step: sequence 1 ends at 4294967334, the limit is 40"},
        {"over the context", [](batch_parts& p) { p.seqs[1].num_past = 40; },
         "step: sequence 1 ends at 41, the limit is 40"},
        {"past that wraps around", [](batch_parts& p) { p.seqs[1].num_past = ~0u; },
         "step: sequence 1 ends at 4294967296, the limit is 40"},
        {"too few blocks",
         [](batch_parts& p) {
           p.second = {9, 4};
         },
         "step: sequence 1 has 2 blocks and needs 3"},
        {"block behind the pool", [](batch_parts& p) { p.second[1] = 10; },
         "step: sequence 1 names block 10 of a pool of 10"},
        {"too many logits",
         [](batch_parts& p) {
           p.logit_rows = {0, 1, 2, 3};
         },
         "step: wants logits of rows: 4, the limit is 3"},
        {"logits of no row", [](batch_parts& p) { p.logit_rows = {4}; },
         "step: wants logits of row 4 of 4"},
        {"logits twice",
         [](batch_parts& p) {
           p.logit_rows = {2, 2};
         },
         "step: logit rows do not ascend"},
        {"logits backwards",
         [](batch_parts& p) {
           p.logit_rows = {3, 1};
         },
         "step: logit rows do not ascend"},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      batch_parts parts;
      r.change(parts);
      const auto checked = parts.check();
      REQUIRE_FALSE(checked.ok());
      CHECK(checked.error().code == ec::invalid_argument);
      CHECK(checked.error().text == r.text);
    }
  }

  TEST_CASE("a token may be one that the step before chooses, if that has so many") {
    batch_parts parts;
    parts.tokens = {-1, 2, -2, 99};
    CHECK(parts.check().error().text == "step: token -1 is not in the vocabulary of 100");
    parts.n_before = 1;
    CHECK(parts.check().error().text == "step: token -2 is not in the vocabulary of 100");
    parts.n_before = 2;
    CHECK(parts.check().ok());
    parts.tokens[0] = INT32_MIN;
    CHECK_FALSE(parts.check().ok());
  }

  TEST_CASE("blocks behind a sequence's end are not looked at") {
    batch_parts parts;
    parts.first = {0, 77};
    CHECK(parts.check().ok());
  }

  TEST_CASE("choices name tokens and adjustments that there are") {
    const std::vector<token_adjustment> three{{0, 1, 0}, {99, 0, 2}, {5, 1, 1}};
    const std::vector<token_adjustment> unknown{{100, 1, 0}}, negative{{-1, 1, 0}};
    const auto text_of = [&](const token_choice& c, std::span<const token_adjustment> adjustments) {
      const auto checked = validate(step_choices{{&c, 1}, adjustments}, 1, n_vocab, 2);
      return checked ? "" : checked.error().text;
    };
    CHECK(text_of({}, {}).empty());
    CHECK(text_of({.first_adjustment = 1, .num_adjustments = 2, .pending = -2}, three).empty());
    CHECK(text_of({.first_adjustment = 2, .num_adjustments = 2}, three) ==
          "step: a choice adjusts tokens 2 to 4 of 3");
    CHECK_FALSE(text_of({.first_adjustment = UINT32_MAX, .num_adjustments = 2}, three).empty());
    CHECK(text_of({.pending = -3}, {}) == "step: a choice waits for token -3 of 2");
    CHECK(text_of({.pending = 1}, {}) == "step: a choice waits for token 1 of 2");
    CHECK(text_of({}, unknown) == "step: token 100 is not in the vocabulary of 100");
    CHECK(text_of({}, negative) == "step: token -1 is not in the vocabulary of 100");
    CHECK(text_of({.num_masked = 1, .masked = {100}}, {}) ==
          "step: token 100 is not in the vocabulary of 100");
    CHECK(text_of({.num_masked = 9}, {}) == "step: a choice masks tokens: 9, the limit is 8");
    const std::vector<token_adjustment> many(513);
    CHECK(text_of({.num_adjustments = 512}, many).empty());
    CHECK_FALSE(text_of({.num_adjustments = 513}, many).empty());
    CHECK(validate(step_choices{}, 1, n_vocab, 0).error().text ==
          "step: chooses 0 tokens from 1 rows");
  }

  TEST_CASE("copies name blocks of the pool, in pairs") {
    const block_id ok[] = {0, 9};
    const block_id bad[] = {0, 10};
    CHECK(validate_copy(ok, ok, limits).ok());
    CHECK(validate_copy({}, {}, limits).ok());
    CHECK(validate_copy(ok, bad, limits).error().text == "step: copies block 10 of a pool of 10");
    CHECK(validate_copy(bad, ok, limits).error().code == ec::invalid_argument);
    CHECK(validate_copy(ok, std::span(ok).first(1), limits).error().text ==
          "step: copies 2 blocks to 1");
  }
}
