#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/support/default_model.hpp"
#include "tests/support/engine_rig.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using test::engine_rig;
using test::recorded_output;

// Rule 4: a request's logits are the same bytes however it is run.

namespace {

constexpr uint32_t context = 1024;

scheduler_limits roomy() {
  return {.max_step_tokens = 640,
          .max_prefill_chunk = 512,
          .max_running = 16,
          .max_waiting = 64,
          .max_context = context,
          .num_blocks = 16 * context / 16,
          .block_tokens = 16};
}

std::shared_ptr<const model> random_weights() {
  test::random_model_shape shape;
  shape.type = tensor_type::q4_1;
  shape.n_embd = 128;
  shape.n_heads = 4;
  shape.head_dim = 32;
  shape.n_ff = 256;
  return test::make_random_model(shape);
}

struct mix {
  std::mt19937 rng;
  uint32_t n_vocab;
  kv_type kv;

  uint32_t pick(uint32_t n) { return static_cast<uint32_t>(rng() % n); }

  /// A prompt; some begin alike, so that neighbours share prefixes.
  std::vector<token_id> prompt(uint32_t length, uint32_t family) {
    std::mt19937 shared{family};
    std::vector<token_id> out(length);
    const auto common = length * 2 / 3;
    for (uint32_t i = 0; i < length; ++i) {
      out[i] = static_cast<token_id>((i < common ? shared() : rng()) % n_vocab);
    }
    return out;
  }

  /// A prompt of `period` tokens over and over.
  std::vector<token_id> repetition(uint32_t length, uint32_t period) {
    auto out = prompt(length, pick(1000));
    for (uint32_t i = period; i < length; ++i) out[i] = out[i - period];
    return out;
  }

  spec_ptr spec(uint64_t id, std::vector<token_id> tokens, uint32_t max_tokens) {
    auto s = std::make_shared<sequence_spec>();
    s->id = {id};
    s->tenant = "t";
    s->num_prompt = static_cast<uint32_t>(tokens.size());
    s->tokens = std::move(tokens);
    s->sampling.max_tokens = max_tokens;
    s->sampling.temperature = pick(2) ? 0.9f : 0.0f;
    s->sampling.seed = 77;
    return s;
  }
};

spec_ptr with_id(const spec_ptr& s, uint64_t id) {
  auto copy = std::make_shared<sequence_spec>(*s);
  copy->id = {id};
  return copy;
}

recorded_output alone(engine_rig& rig, const spec_ptr& s, uint64_t id) {
  rig.submit(with_id(s, id));
  rig.run();
  return rig.output.at(id);
}

/// The same request cut into prefill chunks of every size.
void check_chunks(const std::shared_ptr<const model>& m, kv_type kv, const spec_ptr& target,
                  const recorded_output& want) {
  for (const uint32_t chunk : {1u, 7u, 64u, 512u}) {
    CAPTURE(chunk);
    auto limits = roomy();
    limits.max_prefill_chunk = chunk;
    engine_rig rig{m, "cpu", limits, 0, kv};
    CHECK(alone(rig, target, 1) == want);
  }
}

/// The same request among fifteen others, some of which begin like it.
void check_batch(const std::shared_ptr<const model>& m, mix& r, const spec_ptr& target,
                 uint32_t family, const recorded_output& want) {
  auto limits = roomy();
  limits.run_ahead = r.pick(2) == 1;
  engine_rig rig{m, "cpu", limits, 0, r.kv};
  const auto place = r.pick(16);
  for (uint32_t i = 0; i < 16; ++i) {
    if (i == place) {
      rig.submit(target);
    } else {
      const auto n = 1 + r.pick(2 * target->num_prompt);
      rig.submit(r.spec(100 + i, r.prompt(n, r.pick(2) ? family : i), 1 + r.pick(20)));
    }
  }
  rig.run();
  CHECK(rig.output.at(1) == want);
}

/// The same request while an older one grows and takes its blocks away in mid-generation: both
/// fill the pool, and the older one needs another block after three tokens.
void check_preemption(const std::shared_ptr<const model>& m, mix& r, const spec_ptr& target,
                      const recorded_output& want) {
  auto limits = roomy();
  const auto reserved = target->num_prompt / 16 + 1;
  const auto at_the_end = (target->num_prompt + target->sampling.max_tokens + 15) / 16;
  limits.num_blocks = std::max(at_the_end, reserved + 1);
  const auto older = 16 * (limits.num_blocks - reserved) - 3;
  engine_rig rig{m, "cpu", limits, 0, r.kv};
  rig.submit(r.spec(100, r.prompt(older, 5000), 10));
  rig.submit(target);
  rig.run();
  CHECK(rig.stats().preemptions > 0);
  CHECK(rig.output.at(1) == want);
}

/// The same request where guesses are verified, alone and among requests that repeat theirs.
void check_speculation(const std::shared_ptr<const model>& m, mix& r, const spec_ptr& target,
                       const recorded_output& want) {
  auto limits = roomy();
  limits.max_step_drafts = 16;
  engine_rig rig{m, "cpu", limits, 0, r.kv};
  CHECK(alone(rig, target, 1) == want);
  rig.submit(with_id(target, 2));
  for (uint32_t i = 0; i < 3; ++i) rig.submit(r.spec(100 + i, r.repetition(60, 9), 20));
  rig.run();
  CHECK(rig.output.at(2) == want);
}

/// One seeded mix: the same request in every way that load can touch it. KV types take turns.
void check_mix(const std::shared_ptr<const model>& m, uint32_t seed, uint32_t prompt_max,
               uint32_t new_tokens) {
  const kv_type kv = seed % 2 == 0 ? kv_type::f16 : kv_type::q8_0;
  CAPTURE(seed);
  CAPTURE(name_of(kv));
  mix r{std::mt19937{seed}, m->hp.n_vocab, kv};
  const auto family = r.pick(1000);
  const auto length = 1 + r.pick(prompt_max);
  const auto target = r.spec(1, r.prompt(length, family), new_tokens);
  engine_rig plain{m, "cpu", roomy(), 1, kv};
  const auto want = alone(plain, target, 1);
  REQUIRE(want.tokens.size() == new_tokens);
  CHECK(alone(plain, target, 2) == want);  // from the prefix that the first run left behind
  CHECK(plain.cached.at(2) == (length - 1) / 16 * 16);
  check_chunks(m, kv, target, want);
  check_batch(m, r, target, family, want);
  check_preemption(m, r, target, want);
  check_speculation(m, r, target, want);
}

/// Requests whose prompts repeat themselves, so that guesses come true, at once: the same tokens,
/// log-probabilities and logits as without guesses. Returns how many came true.
uint64_t check_repetitions(const std::shared_ptr<const model>& m, uint32_t seed,
                           float temperature) {
  CAPTURE(seed);
  CAPTURE(temperature);
  mix r{std::mt19937{seed}, m->hp.n_vocab, kv_type::f16};
  std::vector<spec_ptr> specs;
  for (uint64_t id = 1; id <= 4; ++id) {
    auto s = std::make_shared<sequence_spec>(
        *r.spec(id, r.repetition(40 + r.pick(100), 3 + r.pick(12)), 60));
    s->sampling.temperature = temperature;
    s->sampling.top_k = 40;
    s->sampling.frequency_penalty = temperature > 0 ? 0.05f : 0;
    s->sampling.presence_penalty = temperature > 0 ? 0.1f : 0;
    s->sampling.min_tokens = 5;
    s->sampling.logprobs = true;
    s->sampling.top_logprobs = 3;
    s->eog_ids = s->end_ids = {static_cast<token_id>(r.pick(r.n_vocab))};
    specs.push_back(s);
  }
  auto limits = roomy();
  engine_rig plain{m, "cpu", limits, 1};
  limits.run_ahead = true;
  engine_rig ahead{m, "cpu", limits};
  limits.run_ahead = seed % 2 == 1;
  limits.max_step_drafts = 16;
  engine_rig guessing{m, "cpu", limits};
  for (auto* rig : {&plain, &ahead, &guessing}) {
    for (const auto& s : specs) rig->submit(s);
    rig->run();
  }
  for (const auto& s : specs) {
    CHECK(ahead.output.at(s->id.value) == plain.output.at(s->id.value));
    CHECK(guessing.output.at(s->id.value) == plain.output.at(s->id.value));
  }
  CHECK(ahead.stats().steps_ahead > 20);
  CHECK(plain.stats().draft_tokens == 0);
  return guessing.stats().accepted_tokens;
}

}  // namespace

TEST_SUITE("runtime.schedule.load_independence") {
  TEST_CASE("a request's logits do not depend on how it is run (random weights)") {
    const auto m = random_weights();
    const auto full = test::scaled(1000) == 1000;
    const uint32_t mixes = full || !test::is_sanitized() ? 200 : 20;
    for (uint32_t seed = 0; seed < mixes; ++seed) check_mix(m, seed, 300, 20);
  }

  TEST_CASE("a request's logits do not depend on how it is run (default model)") {
    const auto m = test::default_model();
    if (!m) return;
    const auto full = test::scaled(1000) == 1000;
    const uint32_t mixes = full ? 20 : 2;
    for (uint32_t seed = 0; seed < mixes; ++seed) check_mix(m, 1000 + seed, 90, 6);
  }

  TEST_CASE("guesses that come true and steps ahead change no byte (random weights)") {
    const auto m = random_weights();
    for (const float temperature : {0.0f, 0.3f}) {
      uint64_t accepted = 0;
      for (uint32_t seed = 0; seed < 20; ++seed)
        accepted += check_repetitions(m, seed, temperature);
      CHECK(accepted > 0);
    }
  }

  TEST_CASE("guesses that come true and steps ahead change no byte (default model)") {
    const auto m = test::default_model();
    if (!m) return;
    for (const float temperature : {0.0f, 0.8f}) CHECK(check_repetitions(m, 7, temperature) > 0);
  }
}
