#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/backend/evaluate.hpp"
#include "tests/support/default_model.hpp"

using namespace llmos;

namespace {

/// One prompt of tests/golden/default_model.json, as the numpy forward pass saw it.
struct golden_prompt {
  std::vector<token_id> tokens;
  std::vector<token_id> greedy;
  std::vector<size_t> logit_ids;
  std::vector<float> logits;  ///< After the prompt's last token.
  double mean_logit = 0;
};

std::vector<golden_prompt> read_golden() {
  std::ifstream in("tests/golden/default_model.json");
  std::vector<golden_prompt> out;
  const auto golden = nlohmann::json::parse(in);
  for (const auto& p : golden.at("prompts")) {
    out.push_back(
        {p.at("tokens"), p.at("greedy"), p.at("logit_ids"), p.at("logits"), p.at("mean_logit")});
  }
  return out;
}

/// The sequences side by side: one row each, its newest token.
struct greedy_batch {
  static constexpr uint32_t blocks_each = 16;
  backend& b;
  std::vector<std::vector<token_id>> text;
  std::vector<block_id> blocks = {};

  std::span<const block_id> blocks_of(size_t i) {
    for (block_id id = static_cast<block_id>(blocks.size()); id < text.size() * blocks_each; ++id) {
      blocks.push_back(id);
    }
    return std::span(blocks).subspan(i * blocks_each, blocks_each);
  }

  std::vector<float> prefill(size_t i) {
    const auto n = static_cast<uint32_t>(text[i].size());
    const sequence_rows seq{.num_rows = n, .blocks = blocks_of(i)};
    const uint32_t last = n - 1;
    const auto logits = b.forward({text[i], {&seq, 1}, {&last, 1}}).value();
    return {logits.begin(), logits.end()};
  }

  void append_best(size_t i, std::span<const float> logits) {
    text[i].push_back(
        static_cast<token_id>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }

  void step() {
    std::vector<token_id> tokens;
    std::vector<sequence_rows> seqs;
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < text.size(); ++i) {
      rows.push_back(static_cast<uint32_t>(i));
      tokens.push_back(text[i].back());
      seqs.push_back({.first_row = rows.back(),
                      .num_rows = 1,
                      .num_past = static_cast<uint32_t>(text[i].size() - 1),
                      .blocks = blocks_of(i)});
    }
    const auto logits = b.forward({tokens, seqs, rows}).value();
    const size_t n_vocab = logits.size() / text.size();
    for (size_t i = 0; i < text.size(); ++i) append_best(i, logits.subspan(i * n_vocab, n_vocab));
  }
};

/// The first `num_prompts` prompts and the first `num_new` tokens of their answers. `worst_logit`:
/// how far a logit may be from the golden one.
void check_golden(const std::string& backend_name, size_t num_prompts, size_t num_new,
                  double worst_logit) {
  const auto m = test::default_model();
  if (m == nullptr) return;
  auto golden = read_golden();
  REQUIRE(golden.size() == 10);
  golden.resize(num_prompts);
  const auto b = make_backend(backend_name, m,
                              {.max_rows = 256,
                               .max_logits = 10,
                               .max_seqs = 10,
                               .max_context = 16 * greedy_batch::blocks_each,
                               .num_blocks = 10 * greedy_batch::blocks_each})
                     .value();
  greedy_batch batch{*b, {}};
  for (const golden_prompt& g : golden) batch.text.push_back(g.tokens);
  for (size_t i = 0; i < golden.size(); ++i) {
    CAPTURE(i);
    const auto logits = batch.prefill(i);
    double worst = 0;
    for (size_t k = 0; k < golden[i].logits.size(); ++k) {
      worst =
          std::max(worst, std::abs(double{logits[golden[i].logit_ids[k]]} - golden[i].logits[k]));
    }
    CHECK(worst < worst_logit);
    double mean = 0;
    for (const float x : logits) mean += x / static_cast<double>(logits.size());
    CHECK(std::abs(mean - golden[i].mean_logit) < worst_logit);
    batch.append_best(i, logits);
  }
  while (batch.text[0].size() < golden[0].tokens.size() + num_new) batch.step();
  for (size_t i = 0; i < golden.size(); ++i) {
    CAPTURE(i);
    golden[i].greedy.resize(num_new);
    CHECK(std::vector(batch.text[i].end() - static_cast<std::ptrdiff_t>(num_new),
                      batch.text[i].end()) == golden[i].greedy);
  }
}

}  // namespace

TEST_SUITE("runtime.backend.reference.default_model") {
  TEST_CASE("the reference backend says what the numpy forward pass says on ten prompts") {
    check_golden("reference", 10, 64, 1e-3);
  }

  // Short enough for an emulated processor.
  TEST_CASE("every backend begins one answer as the numpy forward pass does") {
    check_golden("reference", 1, 4, 1e-3);
    check_golden("cpu", 1, 4, 1);  // int8 activations
  }
}
