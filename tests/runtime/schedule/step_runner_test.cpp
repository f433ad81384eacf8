#include "runtime/schedule/step_runner.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

constexpr uint32_t n_vocab = 16;

/// After token t comes t + 1, whatever stood before.
class counting_backend : public backend {
public:
  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& b) override {
    last_rows = b.tokens.size();
    logits_.assign(b.logit_rows.size() * n_vocab, 0);
    for (size_t i = 0; i < b.logit_rows.size(); ++i) {
      logits_[i * n_vocab + static_cast<size_t>(b.tokens[b.logit_rows[i]] + 1) % n_vocab] = 9;
    }
    return std::span<const float>{logits_};
  }
  bool chooses() const override { return can_choose; }
  result<std::span<const token_id>> forward_and_choose(
      const step_batch& b, std::span<const token_choice> choices) override {
    last_rows = b.tokens.size();
    last_choices.assign(choices.begin(), choices.end());
    tokens_.clear();
    for (const uint32_t row : b.logit_rows) tokens_.push_back((b.tokens[row] + 1) % n_vocab);
    return std::span<const token_id>{tokens_};
  }
  result<void> copy_blocks(std::span<const block_id>, std::span<const block_id>) override {
    return {};
  }
  size_t last_rows = 0;
  bool can_choose = false;
  std::vector<token_choice> last_choices;

private:
  backend_info info_;
  backend_limits limits_;
  std::vector<float> logits_;
  std::vector<token_id> tokens_;
};

spec_ptr spec(uint64_t id, std::vector<token_id> tokens, std::vector<token_id> ends = {}) {
  auto s = std::make_shared<sequence_spec>();
  s->id = {id};
  s->num_prompt = static_cast<uint32_t>(tokens.size());
  s->tokens = std::move(tokens);
  s->sampling.temperature = 0;
  s->sampling.max_tokens = 100;
  s->end_ids = std::move(ends);
  return s;
}

std::string render(const step_result& r) {
  std::string out;
  for (const auto& t : r.tokens) {
    out += std::to_string(t.id.value) + ":" + std::to_string(t.token.id) + " ";
  }
  return out;
}

struct fixture {
  counting_backend* device = new counting_backend;
  step_runner runner{std::unique_ptr<backend>{device}, n_vocab};
  uint64_t num_steps = 0;

  step_result run(std::vector<plan_entry> entries) {
    return runner.run({++num_steps, {}, std::move(entries)});
  }
};

}  // namespace

TEST_SUITE_BEGIN("runtime.schedule.step_runner");

TEST_CASE("drafts come true up to the first that differs") {
  struct row {
    const char* name;
    std::vector<token_id> drafts, ends;
    const char* want;
  };
  const row table[] = {
      {"all", {4, 5, 6}, {}, "1:4 1:5 1:6 1:7 "},
      {"some", {4, 5, 9, 7}, {}, "1:4 1:5 1:6 "},
      {"none", {9, 5}, {}, "1:4 "},
      {"no draft", {}, {}, "1:4 "},
      {"an end token among them", {4, 5, 6}, {5}, "1:4 1:5 "},
      {"an end token behind them", {4, 5}, {6}, "1:4 1:5 1:6 "},
      {"an end token first", {4, 5}, {4}, "1:4 "},
  };
  for (const auto& r : table) {
    CAPTURE(r.name);
    fixture f;
    const auto done = f.run({{{1}, 0, 2, true, r.drafts, {0}, spec(1, {2, 3}, r.ends)}});
    CHECK(render(done) == r.want);
    CHECK(done.num_rows == 2 + r.drafts.size());
    CHECK(f.device->last_rows == 2 + r.drafts.size());
  }
}

TEST_CASE_FIXTURE(fixture,
                  "a sequence goes on from the tokens that came true, whatever its drafts") {
  run({{{1}, 0, 2, true, {}, {0}, spec(1, {2, 3})}});
  CHECK(render(run({{{1}, 2, 1, true, {5, 9, 9}, {}, nullptr}})) == "1:5 1:6 ");
  CHECK(render(run({{{1}, 4, 1, true, {7}, {}, nullptr}})) == "1:7 1:8 ");
}

TEST_CASE_FIXTURE(fixture, "every sequence of a step has the logits of its own rows") {
  const auto done = run({{{1}, 0, 1, true, {1, 9, 3}, {0}, spec(1, {0})},
                         {{2}, 0, 2, false, {}, {1}, spec(2, {5, 6, 7})},
                         {{3}, 0, 2, true, {11, 12}, {2}, spec(3, {9, 10})}});
  CHECK(render(done) == "1:1 1:2 3:11 3:12 3:13 ");
}

TEST_CASE_FIXTURE(fixture,
                  "drafts that do not follow the sequence's last token are a broken plan") {
  CHECK(run({{{1}, 0, 2, true, {7}, {0}, spec(1, {2, 3, 4})}}).error.code == ec::internal);
  CHECK(run({{{2}, 0, 2, false, {7}, {0}, spec(2, {2, 3})}}).error.code == ec::internal);
  CHECK(run({{{3}, 1, 2, true, {}, {0}, spec(3, {2, 3})}}).error.code == ec::internal);
}

TEST_CASE_FIXTURE(fixture, "a device that chooses is told how, draft by draft") {
  device->can_choose = true;
  auto drawn = std::make_shared<sequence_spec>(*spec(2, {9, 10}));
  drawn->sampling = {.temperature = 0.5f, .top_k = 7, .top_p = 0.9f, .min_p = 0.1f, .seed = 3};
  const auto done = run({{{1}, 0, 2, true, {4, 9}, {0}, spec(1, {2, 3})},
                         {{2}, 0, 2, true, {}, {1}, spec_ptr(drawn)}});
  CHECK(render(done) == "1:4 1:5 2:11 ");
  REQUIRE(device->last_choices.size() == 4);
  CHECK(device->last_choices[2].temperature == 0);
  const token_choice& c = device->last_choices[3];
  CHECK(c.temperature == 0.5f);
  CHECK(c.top_k == 7);
  CHECK(c.top_p == 0.9f);
  CHECK(c.min_p == 0.1f);
  CHECK(c.uniform == philox_uniform(3, 0, 0));
  run({{{2}, 2, 1, true, {12}, {}, nullptr}});
  REQUIRE(device->last_choices.size() == 2);
  CHECK(device->last_choices[0].uniform == philox_uniform(3, 1, 0));
  CHECK(device->last_choices[1].uniform == philox_uniform(3, 2, 0));
}

TEST_CASE_FIXTURE(fixture, "what a device cannot choose is chosen from its logits") {
  device->can_choose = true;
  auto reports = std::make_shared<sequence_spec>(*spec(1, {2, 3}));
  reports->sampling.logprobs = true;
  const auto done = run({{{1}, 0, 2, true, {}, {0}, spec_ptr(reports)}});
  CHECK(render(done) == "1:4 ");
  CHECK(done.tokens[0].token.logprob < 0);
  CHECK(device->last_choices.empty());
}

TEST_SUITE_END();
