#include "runtime/backend/evaluate.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

/// Predicts, after token t, token (t + 1) % 4 with probability `p` and the others evenly; records
/// the steps it was asked for.
class successor_backend final : public backend {
public:
  explicit successor_backend(double p, uint32_t n_vocab = 4)
      : hit_(static_cast<float>(std::log(p) + 5)),
        miss_(static_cast<float>(std::log((1 - p) / 3) + 5)),  // + 5: logits need not be normed
        n_vocab_(n_vocab) {}

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& batch) override {
    LLMOS_TRY_VOID(validate(batch, limits_, n_vocab_));
    steps.push_back({batch.seqs[0].num_past, {batch.tokens.begin(), batch.tokens.end()}});
    logits_.clear();
    for (const uint32_t row : batch.logit_rows) {
      for (uint32_t v = 0; v < n_vocab_; ++v) {
        const auto next = (static_cast<uint32_t>(batch.tokens[row]) + 1) % 4;
        logits_.push_back(v == next ? hit_ : miss_);
      }
    }
    return std::span<const float>(logits_);
  }
  result<void> copy_blocks(std::span<const block_id>, std::span<const block_id>) override {
    return {};
  }

  struct recorded {
    uint32_t num_past;
    std::vector<token_id> tokens;
    bool operator==(const recorded&) const = default;
  };
  std::vector<recorded> steps;

private:
  float hit_, miss_;
  uint32_t n_vocab_;
  backend_info info_;
  backend_limits limits_{.max_rows = 3, .max_logits = 5, .max_context = 12, .num_blocks = 1};
  std::vector<float> logits_;
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_SUITE("runtime.backend.evaluate") {
  TEST_CASE("a text is cut into windows and those into chunks that the backend takes") {
    successor_backend b(0.5);
    const std::vector<token_id> tokens = {0, 1, 2, 3, 0, 1, 2};
    const auto score = evaluate(b, tokens, {.window_tokens = 5}).value();
    CHECK(score.num_scored == 5);  // the first of each window has no predecessor
    using steps = std::vector<successor_backend::recorded>;
    CHECK(b.steps == steps{{0, {0, 1, 2}}, {3, {3, 0}}, {0, {1, 2}}});
  }

  TEST_CASE("perplexity is the inverse of the geometric mean of what came true") {
    successor_backend b(0.5);
    const std::vector<token_id> all_hits = {0, 1, 2, 3, 0, 1};
    CHECK(evaluate(b, all_hits).value().perplexity() == doctest::Approx(2.0));
    const std::vector<token_id> half_hits = {0, 1, 3};  // 1/2 · 1/6
    CHECK(evaluate(b, half_hits).value().perplexity() == doctest::Approx(std::sqrt(12.0)));
  }

  TEST_CASE("bos stands before every window and unscored tokens are only context") {
    successor_backend b(0.5);
    const std::vector<token_id> tokens = {0, 1, 2, 3, 0};
    const auto score = evaluate(b, tokens, {.window_tokens = 4, .bos = 3}).value();
    CHECK(score.num_scored == 5);
    using steps = std::vector<successor_backend::recorded>;
    CHECK(b.steps == steps{{0, {3, 0, 1}}, {3, {2}}, {0, {3, 3, 0}}});
    CHECK(evaluate(b, tokens, {.window_tokens = 5, .num_unscored = 2}).value().num_scored == 2);
  }

  TEST_CASE("two backends are compared by what each makes of the same rows") {
    successor_backend base(0.5), other(0.25), opposite(0.1);
    const std::vector<token_id> tokens = {0, 1, 2, 3, 0, 1};
    uint64_t n_heard = 0;
    const auto hear = [&](const divergence& d) { n_heard = n_heard * 10 + d.num_positions; };
    const auto d = compare(base, other, tokens, {.window_tokens = 3}, hear).value();
    CHECK(n_heard == 36);
    CHECK(d.num_positions == 6);
    const double kl = 0.5 * std::log(0.5 / 0.25) + 0.5 * std::log((0.5 / 3) / 0.25);
    CHECK(d.mean_kl() == doctest::Approx(kl).epsilon(1e-5));
    CHECK(d.perplexity_gap() == doctest::Approx(1.0));  // 4 instead of 2
    const auto same = compare(base, base, tokens).value();
    CHECK(std::abs(same.mean_kl()) < 1e-9);
    CHECK(same.perplexity_gap() == 0.0);
    CHECK(same.same_top_share() == 1.0);
    CHECK(compare(base, opposite, tokens).value().same_top_share() == 0.0);
  }

  TEST_CASE("what cannot be scored is refused") {
    successor_backend b(0.5), wide(0.5, 5);
    const std::vector<token_id> tokens = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1};
    struct row {
      const char* name;
      size_t n_tokens;
      window_options options;
      const char* text;
    };
    const row table[] = {
        {"nothing", 0, {}, "no token to predict"},
        {"one token", 1, {}, "no token to predict"},
        {"window of one", 5, {.window_tokens = 1}, "a window of 1 tokens scores nothing"},
        {"nothing scored",
         5,
         {.window_tokens = 3, .num_unscored = 2},
         "a window of 3 tokens scores nothing"},
        {"window over the context",
         14,
         {.window_tokens = 13},
         "a window of 13 tokens in a context of 12"},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      const auto score = evaluate(b, std::span(tokens).first(r.n_tokens), r.options);
      REQUIRE_FALSE(score.ok());
      CHECK(score.error().code == ec::invalid_argument);
      CHECK(score.error().text == r.text);
    }
    CHECK(evaluate(b, std::span(tokens).first(12), {.window_tokens = 512}).ok());
    CHECK(compare(b, wide, std::span(tokens).first(4)).error().text ==
          "the vocabularies differ: 4 and 5 tokens");
  }

  TEST_CASE("logits are written as a NumPy file") {
    successor_backend b(0.5);
    const test::temp_dir dir;
    const std::vector<token_id> tokens = {0, 1, 2, 3};
    REQUIRE(write_logits(b, tokens, dir.file("x.npy")).ok());
    const std::string bytes = read_file(dir.file("x.npy"));
    REQUIRE(bytes.size() == 128 + 4 * 4 * sizeof(float));
    CHECK(bytes.substr(0, 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
    CHECK(bytes.substr(10, 61) == "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), }  ");
    CHECK(bytes[127] == '\n');
    std::vector<float> values(16);
    std::memcpy(values.data(), bytes.data() + 128, 64);
    for (size_t i = 0; i < 4; ++i) {
      CHECK(values[i * 4 + (i + 1) % 4] == doctest::Approx(std::log(0.5) + 5));
      CHECK(values[i * 4 + i] == doctest::Approx(std::log(0.5 / 3) + 5));
    }
  }

  TEST_CASE("logits that cannot be written are errors that name the reason") {
    successor_backend b(0.5);
    const std::vector<token_id> tokens(13, 0);
    const test::temp_dir dir;
    CHECK(write_logits(b, {}, dir.file("x.npy")).error().code == ec::invalid_argument);
    const auto over = write_logits(b, tokens, dir.file("x.npy"));
    CHECK(over.error().code == ec::over_context);
    CHECK(over.error().text == "13 tokens in a context of 12");
    const auto nowhere = write_logits(b, std::span(tokens).first(2), dir.file("no/x.npy"));
    CHECK(nowhere.error().code == ec::io_error);
    CHECK(nowhere.error().text.starts_with(dir.file("no/x.npy")));
    CHECK(write_logits(b, std::span(tokens).first(2), "/dev/full").error().code == ec::io_error);
  }
}
