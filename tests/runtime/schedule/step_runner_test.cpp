#include "runtime/schedule/step_runner.hpp"

#include <doctest/doctest.h>

#include <deque>

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
  result<std::span<const token_id>> forward_and_choose(const step_batch& b,
                                                       const step_choices& choices) override {
    last_rows = b.tokens.size();
    note(choices);
    tokens_.clear();
    for (const uint32_t row : b.logit_rows) tokens_.push_back((b.tokens[row] + 1) % n_vocab);
    return std::span<const token_id>{tokens_};
  }
  /// A step is computed when it is finished: until then its tokens are nowhere.
  bool runs_ahead() const override { return can_choose; }
  result<void> begin(const step_batch& b, const step_choices& choices) override {
    if (fail_begin) return failure{ec::engine_failed, "it is off", ""};
    note(choices);
    begun.emplace_back();
    for (const uint32_t row : b.logit_rows) begun.back().push_back(b.tokens[row]);
    return {};
  }
  void wait() override {}
  result<std::span<const token_id>> finish() override {
    if (fail_finish) return failure{ec::engine_failed, "it fell off", ""};
    std::vector<token_id> chosen;
    for (const token_id t : begun.front()) {
      chosen.push_back(((t < 0 ? tokens_.at(static_cast<size_t>(-1 - t)) : t) + 1) % n_vocab);
    }
    begun.pop_front();
    tokens_ = std::move(chosen);
    return std::span<const token_id>{tokens_};
  }
  result<void> copy_blocks(std::span<const block_id>, std::span<const block_id>) override {
    return {};
  }
  size_t last_rows = 0;
  bool fail_begin = false, fail_finish = false;
  std::deque<std::vector<token_id>> begun;  ///< What each step that is not finished begins with.
  bool can_choose = false;
  std::vector<token_choice> last_choices;
  std::vector<token_adjustment> last_adjustments;

  /// What the choice for logit row i is adjusted by, as "id*count+bias …".
  std::string adjustments_of(size_t i) const {
    std::string out;
    const token_choice& c = last_choices.at(i);
    for (uint32_t j = 0; j < c.num_adjustments; ++j) {
      const token_adjustment& a = last_adjustments.at(c.first_adjustment + j);
      out += std::to_string(a.id) + "*" + std::to_string(a.count);
      if (a.bias != 0) out += "+" + std::to_string(static_cast<int>(a.bias));
      out += " ";
    }
    return out;
  }

private:
  void note(const step_choices& choices) {
    last_choices.assign(choices.rows.begin(), choices.rows.end());
    last_adjustments.assign(choices.adjustments.begin(), choices.adjustments.end());
  }

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

TEST_CASE_FIXTURE(fixture, "a device that chooses is told what penalties and biases change") {
  device->can_choose = true;
  auto one = std::make_shared<sequence_spec>(*spec(1, {2, 3}));
  one->sampling.repetition_penalty = 1.5f;
  one->sampling.frequency_penalty = 0.25f;
  one->sampling.presence_penalty = 0.5f;
  one->sampling.penalty_window = 3;
  auto other = std::make_shared<sequence_spec>(*spec(2, {9, 9}));
  other->sampling.logit_bias = {{7, 4.0f}, {9, -5.0f}};
  const auto start = [&](std::vector<plan_entry> entries) {
    return runner.start(
        std::make_shared<const step_plan>(step_plan{++num_steps, {}, std::move(entries)}));
  };
  CHECK_FALSE(start({{{2}, 0, 2, true, {}, {1}, spec_ptr(other)},
                     {{1}, 0, 2, true, {4, 4}, {0}, spec_ptr(one)}}));
  CHECK(device->adjustments_of(0) == "7*0+4 9*0+-5 ");
  CHECK(device->last_choices[0].repetition_penalty == 1.0f);
  CHECK(device->adjustments_of(1) == "2*1 3*1 ");
  CHECK(device->adjustments_of(2) == "2*1 3*1 4*1 ");  // a draft is taken for true
  CHECK(device->adjustments_of(3) == "3*1 4*2 ");
  CHECK(device->last_choices[3].repetition_penalty == 1.5f);
  CHECK(device->last_choices[3].frequency_penalty == 0.25f);
  CHECK(device->last_choices[3].presence_penalty == 0.5f);
  CHECK(device->last_choices[3].pending == 0);
  CHECK(render(runner.finish()) == "2:10 1:4 1:5 ");
  CHECK_FALSE(start({{{1}, 3, 1, true, {}, {}, nullptr}, {{2}, 2, 1, true, {}, {}, nullptr}}));
  CHECK(device->adjustments_of(0) == "3*1 4*1 5*1 ");
  CHECK_FALSE(start({{{1}, 4, 1, true, {}, {}, nullptr, true}}));
  CHECK(device->adjustments_of(0) == "4*1 5*1 ");  // the pending one is the third of the window
  CHECK(device->last_choices[0].pending == -1);
  runner.finish();
  runner.finish();
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

TEST_CASE_FIXTURE(fixture, "steps run ahead of the tokens that they begin with") {
  device->can_choose = true;
  auto drawn = std::make_shared<sequence_spec>(*spec(2, {9, 10}));
  drawn->sampling = {.temperature = 0.5f, .seed = 3};
  const auto start = [&](std::vector<plan_entry> entries) {
    return runner.start(
        std::make_shared<const step_plan>(step_plan{++num_steps, {}, std::move(entries)}));
  };
  const auto go_on = [](uint64_t id, uint32_t past) {
    return plan_entry{{id}, past, 1, true, {}, {}, nullptr, true};
  };
  CHECK_FALSE(start({{{1}, 0, 2, true, {}, {0}, spec(1, {2, 3})},
                     {{2}, 0, 2, true, {}, {1}, spec_ptr(drawn)},
                     {{3}, 0, 2, false, {}, {2}, spec(3, {5, 6, 7})}}));
  CHECK_FALSE(start({go_on(2, 2), go_on(1, 2)}));
  CHECK(device->begun.back() == std::vector<token_id>{-2, -1});
  CHECK(device->last_choices[0].uniform == philox_uniform(3, 1, 0));
  auto done = runner.finish();
  CHECK(done.step == 1);
  CHECK(done.num_rows == 6);
  CHECK(render(done) == "1:4 2:11 ");
  CHECK_FALSE(start({go_on(1, 3), go_on(2, 3)}));
  CHECK(device->begun.back() == std::vector<token_id>{-2, -1});
  CHECK(device->last_choices[1].uniform == philox_uniform(3, 2, 0));
  CHECK(render(runner.finish()) == "2:12 1:5 ");
  done = runner.finish();
  CHECK(done.step == 3);
  CHECK(render(done) == "1:6 2:13 ");
  CHECK(done.ended >= done.started);
  CHECK_FALSE(start({go_on(1, 4)}));  // by now it is known
  CHECK(device->begun.back() == std::vector<token_id>{6});
  CHECK(render(runner.finish()) == "1:7 ");
}

TEST_CASE_FIXTURE(fixture, "a step that cannot run ahead is run at once, one that fails says so") {
  const auto start = [&](std::vector<plan_entry> entries) {
    return runner.start(
        std::make_shared<const step_plan>(step_plan{++num_steps, {}, std::move(entries)}));
  };
  auto done = start({{{1}, 0, 2, true, {}, {0}, spec(1, {2, 3})}});
  REQUIRE(done);
  CHECK(render(*done) == "1:4 ");
  device->can_choose = true;
  auto reports = std::make_shared<sequence_spec>(*spec(2, {2, 3}));
  reports->sampling.logprobs = true;
  done = start({{{2}, 0, 2, true, {}, {1}, spec_ptr(reports)}});
  REQUIRE(done);
  CHECK(done->tokens[0].token.logprob < 0);
  done = start({{{3}, 0, 1, true, {}, {2}, nullptr}});  // nobody knows it
  REQUIRE(done);
  CHECK(done->error.code == ec::internal);
  CHECK_FALSE(start({{{1}, 2, 1, true, {}, {}, nullptr}}));
  device->fail_begin = true;
  done = start({{{1}, 3, 1, true, {}, {}, nullptr, true}});
  REQUIRE(done);
  CHECK(done->error.text == "it is off");
  device->fail_finish = true;
  CHECK(runner.finish().error.text == "it fell off");
}

TEST_SUITE_END();
