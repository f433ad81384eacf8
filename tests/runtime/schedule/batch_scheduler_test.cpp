#include "runtime/schedule/batch_scheduler.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>

#include "tests/support/engine_sim.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using test::engine_sim;

namespace {

std::vector<token_id> prompt(uint32_t n, token_id first = 1) {
  std::vector<token_id> out(n);
  for (uint32_t i = 0; i < n; ++i) out[i] = first + static_cast<token_id>(i % 700);
  return out;
}

std::vector<token_id> expected(std::vector<token_id> tokens, uint32_t n) {
  const auto num_prompt = static_cast<std::ptrdiff_t>(tokens.size());
  for (uint32_t i = 0; i < n; ++i) tokens.push_back(engine_sim::next_token(tokens, tokens.size()));
  return {tokens.begin() + num_prompt, tokens.end()};
}

scheduler_limits small() {
  return {.max_step_tokens = 8,
          .max_prefill_chunk = 8,
          .max_running = 4,
          .max_waiting = 100,
          .max_context = 64,
          .num_blocks = 32,
          .block_tokens = 4};
}

/// Request 1 again, with what it has generated.
spec_ptr go_on(std::vector<token_id> prompt, const std::vector<token_id>& generated) {
  auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, std::move(prompt), 12));
  s->tokens.insert(s->tokens.end(), generated.begin(), generated.end());
  return s;
}

std::string render(const step_plan& plan) {
  std::string out;
  for (const auto& e : plan.entries) {
    out += std::to_string(e.id.value) + ":" + std::to_string(e.num_past) + "+" +
           std::to_string(e.num_tokens) + (e.sample ? "! " : " ");
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.schedule.batch_scheduler") {
  TEST_CASE("a step holds decodes first, then partial prefills, within the budget") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(3), 5)).ok());
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(12, 90), 5)).ok());
    const char* want[] = {"1:0+3! 2:0+5 ", "1:3+1! 2:5+7! ", "1:4+1! 2:12+1! "};
    for (const std::string w : want) {
      REQUIRE(sim.begin_step());
      CHECK(render(sim.plan()) == w);
      sim.end_step();
    }
    sim.run();
    CHECK(sim.output[1] == expected(prompt(3), 5));
    CHECK(sim.output[2] == expected(prompt(12, 90), 5));
    CHECK(sim.ended[1] == stop_reason::length);
    CHECK(sim.memory.stats().num_used == 0);
  }

  TEST_CASE("a long prompt holds up a running answer no longer than max_stall_us at a time") {
    constexpr uint64_t row_us = 1000;
    const auto longest_wait = [](uint64_t max_stall_us) {
      engine_sim sim{{.max_step_tokens = 256,
                      .max_prefill_chunk = 256,
                      .max_running = 4,
                      .max_context = 2048,
                      .num_blocks = 256,
                      .block_tokens = 16,
                      .max_stall_us = max_stall_us}};
      sim.row_us = row_us;
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(40), 100)).ok());
      REQUIRE(sim.step());
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(1500, 90), 1)).ok());
      uint64_t longest = 0;
      while (sim.output[2].empty()) {
        const auto before = sim.computed_rows;
        REQUIRE(sim.step());
        longest = std::max(longest, (sim.computed_rows - before) * row_us);
      }
      CHECK(sim.output[1].size() < 100);  // it was running all the time
      sim.run();
      CHECK(sim.output[1] == expected(prompt(40), 100));
      return longest;
    };
    CHECK(longest_wait(0) == 256 * row_us);
    CHECK(longest_wait(100'000) <= 100'000 + row_us);
    CHECK(longest_wait(100'000) >= 90'000);
    CHECK(longest_wait(1) == (prefill_pace::least_rows + 1) * row_us);
  }

  TEST_CASE("nobody waits: a prompt takes the whole budget") {
    engine_sim sim{{.max_step_tokens = 64,
                    .max_prefill_chunk = 64,
                    .max_running = 4,
                    .max_context = 256,
                    .num_blocks = 64,
                    .block_tokens = 4,
                    .max_stall_us = 1}};
    sim.row_us = 1000;
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(200), 1)).ok());
    sim.run();
    CHECK(sim.scheduler.stats().steps == 4);
  }

  TEST_CASE("what cannot be queued is refused with its reason") {
    engine_sim sim{small()};
    auto code = [&](spec_ptr s) {
      const auto r = sim.scheduler.enqueue(std::move(s));
      return r.ok() ? ec::none : r.error().code;
    };
    CHECK(code(engine_sim::spec(1, {}, 5)) == ec::invalid_argument);
    CHECK(code(engine_sim::spec(2, prompt(60), 5)) == ec::over_context);
    CHECK(code(engine_sim::spec(3, prompt(60), 4)) == ec::none);
    CHECK(code(engine_sim::spec(3, prompt(1), 1)) == ec::invalid_argument);
    auto limits = small();
    limits.num_blocks = 8;
    limits.max_waiting = 2;
    engine_sim tight{limits};
    CHECK(tight.scheduler.enqueue(engine_sim::spec(1, prompt(30), 3)).error().code ==
          ec::out_of_memory);
    CHECK(tight.scheduler.enqueue(engine_sim::spec(2, prompt(30), 2)).ok());
    CHECK(tight.scheduler.enqueue(engine_sim::spec(3, prompt(30), 2)).ok());
    CHECK(tight.scheduler.enqueue(engine_sim::spec(4, prompt(30), 2)).error().code ==
          ec::overloaded);
    const auto text = sim.scheduler.enqueue(engine_sim::spec(9, prompt(60), 5)).error().text;
    CHECK(text == "60 prompt tokens + 5 max_tokens exceed the context of 64");
  }

  TEST_CASE("a sequence that is queued again goes on from the tokens it is given") {
    for (const uint32_t num_blocks : {32u, 8u}) {  // enough, and so few that it is preempted
      for (int moment = 0; moment < 2 * 40 * 4; ++moment) {
        const bool in_step = moment % 2 == 1;
        const int steps = moment / 2 % 40;
        const size_t lost = std::array{0, 1, 3, 9}[static_cast<size_t>(moment / 80)];
        CAPTURE(num_blocks);
        CAPTURE(in_step);
        CAPTURE(steps);
        CAPTURE(lost);
        auto limits = small();
        limits.num_blocks = num_blocks;
        engine_sim sim{limits};
        REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(6), 12)).ok());
        REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(9, 90), 12)).ok());
        for (int i = 0; i < steps; ++i) sim.step();
        const bool stepping = in_step && sim.begin_step();
        auto& out = sim.output[1];
        if (lost == 0 && sim.ended.count(1) != 0) continue;  // nobody asks for more then
        out.resize(out.size() - std::min(lost, out.size()));
        sim.ended.erase(1);
        REQUIRE(sim.scheduler.enqueue(go_on(prompt(6), out)).ok());
        if (stepping) sim.end_step();
        sim.run();
        CHECK(sim.output[1] == expected(prompt(6), 12));
        CHECK(sim.output[2] == expected(prompt(9, 90), 12));
        CHECK(sim.ended[1] == stop_reason::length);
        CHECK(sim.memory.stats().num_used == 0);
      }
    }
  }

  TEST_CASE("a sequence goes back also while its blocks are being reserved") {
    engine_sim sim{small()};
    const auto all = expected(prompt(6), 12);
    REQUIRE(sim.scheduler.enqueue(go_on(prompt(6), {all.begin(), all.begin() + 3})).ok());
    const auto out = sim.scheduler.drain();
    REQUIRE(out.reserves.size() == 1);
    sim.output[1] = {all[0]};
    REQUIRE(sim.scheduler.enqueue(go_on(prompt(6), sim.output[1])).ok());
    SUBCASE("granted") {
      sim.scheduler.on_reserved(
          {{1}, true, sim.memory.take(out.reserves[0].num_blocks).value(), 0});
    }
    SUBCASE("not granted") {
      sim.scheduler.on_reserved({{1}, false, {}, 0});
    }
    sim.run();
    CHECK(sim.output[1] == all);
    CHECK(sim.memory.stats().num_used == 0);
  }

  TEST_CASE("a sequence that lost nothing keeps its place and its blocks") {
    auto limits = small();
    limits.max_running = 1;
    engine_sim sim{limits};
    for (uint64_t id = 1; id <= 3; ++id) {
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(id, prompt(6, static_cast<int>(90 * id)), 12))
                  .ok());
    }
    for (int i = 0; i < 5; ++i) sim.step();
    REQUIRE(sim.scheduler.enqueue(go_on(prompt(6, 90), sim.output[1])).ok());
    auto second = std::make_shared<sequence_spec>(*engine_sim::spec(2, prompt(6, 180), 12));
    REQUIRE(sim.scheduler.enqueue(second).ok());
    while (sim.ended.size() < 2) REQUIRE(sim.step());
    CHECK(sim.ended.count(3) == 0);
    CHECK(sim.computed_rows == 2 * (6 + 11));
  }

  TEST_CASE("an id is not used for another prompt, nor after a cancel that waits for a step") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(6), 12)).ok());
    CHECK(sim.scheduler.enqueue(engine_sim::spec(1, prompt(6, 7), 12)).error().code ==
          ec::invalid_argument);
    REQUIRE(sim.begin_step());
    sim.scheduler.cancel({1});
    CHECK(sim.scheduler.enqueue(engine_sim::spec(1, prompt(6), 12)).error().code ==
          ec::invalid_argument);
    sim.end_step();
    CHECK(sim.scheduler.idle());
  }

  TEST_CASE("max_tokens 0 evaluates the prompt and ends without a token") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(11), 0)).ok());
    sim.run();
    CHECK(sim.output[1].empty());
    CHECK(sim.ended[1] == stop_reason::length);
    CHECK(sim.computed_rows == 11);
  }

  TEST_CASE("an end token ends the sequence at once") {
    engine_sim sim{small()};
    auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, prompt(5), 20));
    const auto want = expected(prompt(5), 20);
    s->end_ids = {want[3]};
    REQUIRE(sim.scheduler.enqueue(s).ok());
    sim.run();
    CHECK(sim.output[1] == std::vector<token_id>(want.begin(), want.begin() + 4));
    CHECK(sim.ended[1] == stop_reason::end_token);
  }

  TEST_CASE("requests with a common prefix hold one prefix and their tails") {
    scheduler_limits limits{.max_step_tokens = 256,
                            .max_prefill_chunk = 256,
                            .max_running = 32,
                            .max_waiting = 100,
                            .max_context = 2048,
                            .num_blocks = 400,
                            .block_tokens = 16};
    engine_sim sim{limits};
    for (uint64_t i = 0; i < 32; ++i) {
      auto p = prompt(1000);
      p.push_back(9000 + static_cast<token_id>(i));
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(i, p, 60)).ok());
    }
    while (sim.scheduler.stats().running < 32) REQUIRE(sim.step());
    sim.step();
    // 62 whole blocks are shared; each tail is 9 prompt tokens and its output so far.
    const auto used = sim.memory.stats().num_used;
    CHECK(used >= 62 + 32);
    CHECK(used <= 62 + 32 * 5);
    CHECK(sim.computed_rows < 1001 + 32 * (9 + 60));
    sim.run();
    for (uint64_t i = 1; i < 32; ++i) CHECK(sim.cached[i] == 992);
    CHECK(sim.ended.size() == 32);
    CHECK(sim.memory.stats().num_used == 0);
  }

  TEST_CASE("tenants do not share prefixes") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(20), 1, "a")).ok());
    sim.run();
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(20), 1, "b")).ok());
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(3, prompt(20), 1, "a")).ok());
    sim.run();
    CHECK(sim.cached[2] == 0);
    CHECK(sim.cached[3] == 16);
  }

  TEST_CASE("a pool that is too small preempts the youngest and changes no token") {
    auto limits = small();
    limits.num_blocks = 16;
    engine_sim sim{limits};
    for (uint64_t i = 1; i <= 4; ++i) {
      REQUIRE(
          sim.scheduler.enqueue(engine_sim::spec(i, prompt(6, 100 * static_cast<token_id>(i)), 50))
              .ok());
    }
    sim.run();
    CHECK(sim.scheduler.stats().preemptions > 0);
    for (uint64_t i = 1; i <= 4; ++i) {
      CHECK(sim.output[i] == expected(prompt(6, 100 * static_cast<token_id>(i)), 50));
    }
    CHECK(sim.memory.stats().num_used == 0);
  }

  TEST_CASE("a replay goes on after the tokens already delivered") {
    engine_sim sim{small()};
    const auto want = expected(prompt(5), 10);
    auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, prompt(5), 10));
    s->tokens.insert(s->tokens.end(), want.begin(), want.begin() + 4);
    sim.output[1] = {want.begin(), want.begin() + 4};
    REQUIRE(sim.scheduler.enqueue(s).ok());
    sim.run();
    CHECK(sim.output[1] == want);
  }

  TEST_CASE("a cancelled sequence gives its blocks back in every phase") {
    for (int steps_before = 0; steps_before < 6; ++steps_before) {
      CAPTURE(steps_before);
      engine_sim sim{small()};
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(20), 30)).ok());
      for (int i = 0; i < steps_before; ++i) REQUIRE(sim.step());
      REQUIRE(sim.begin_step());
      sim.scheduler.cancel({1});
      sim.settle();
      sim.end_step();
      CHECK(sim.scheduler.idle());
      CHECK(sim.memory.stats().num_used == 0);
      CHECK_FALSE(sim.step());
    }
  }

  TEST_CASE("random arrivals, cancels and shortages lose nothing and leak nothing") {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      CAPTURE(seed);
      std::mt19937 rng{seed};
      auto pick = [&](uint32_t n) { return static_cast<uint32_t>(rng() % n); };
      auto limits = small();
      limits.num_blocks = 16 + pick(20);
      limits.max_step_tokens = 4 + pick(12);
      limits.max_prefill_chunk = 1 + pick(8);
      engine_sim sim{limits};
      std::map<uint64_t, std::vector<token_id>> want;
      uint64_t next = 0;
      const int events = test::scaled(5000) / 20;
      for (int i = 0; i < events; ++i) {
        if (pick(3) == 0) {
          const auto n = 1 + pick(30);
          const auto p = prompt(n, static_cast<token_id>(1 + 5 * pick(3)));
          const auto max = 1 + pick(64 - n);
          const auto added =
              sim.scheduler.enqueue(engine_sim::spec(next, p, max, pick(2) ? "a" : "b"));
          if (added.ok()) want[next] = expected(p, max);
          ++next;
        }
        const bool began = sim.begin_step();
        if (!want.empty() && pick(4) == 0) {
          const uint64_t victim = pick(static_cast<uint32_t>(next));
          if (sim.ended.count(victim) == 0) {
            sim.scheduler.cancel({victim});
            want.erase(victim);
          }
        }
        if (began) sim.end_step();
      }
      sim.run();
      for (const auto& sequence : want) {
        CAPTURE(sequence.first);
        REQUIRE(sim.output[sequence.first] == sequence.second);
      }
      CHECK(sim.scheduler.idle());
      CHECK(sim.memory.stats().num_used == 0);
    }
  }
}
