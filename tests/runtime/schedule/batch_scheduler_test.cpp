#include "runtime/schedule/batch_scheduler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
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

std::vector<token_id> expected(std::vector<token_id> tokens, uint32_t n, size_t period = 0) {
  const auto num_prompt = static_cast<std::ptrdiff_t>(tokens.size());
  for (uint32_t i = 0; i < n; ++i) {
    tokens.push_back(engine_sim::next_token(tokens, tokens.size(), period));
  }
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

scheduler_limits speculating() {
  auto limits = small();
  limits.max_step_tokens = 128;
  limits.max_prefill_chunk = 64;
  limits.max_context = 256;
  limits.num_blocks = 256;
  limits.max_step_drafts = 10;
  return limits;
}

std::vector<token_id> repeating_prompt(uint32_t n, uint32_t period, token_id first = 1) {
  std::vector<token_id> out(n);
  for (uint32_t i = 0; i < n; ++i) out[i] = first + static_cast<token_id>(i % period);
  return out;
}

/// Request 1 has a prompt of 46 tokens that repeats itself and one token that goes on with it; its
/// first plan with drafts is out. What the device answers is up to the test.
struct drafting {
  explicit drafting(uint32_t max_tokens = 100, std::vector<token_id> ends = {}) {
    auto s =
        std::make_shared<sequence_spec>(*engine_sim::spec(1, repeating_prompt(46, 16), max_tokens));
    s->end_ids = std::move(ends);
    REQUIRE(sim.scheduler.enqueue(s).ok());
    plan();
    answer({15});
    plan();
  }

  plan_entry plan() {
    sim.settle();
    auto p = sim.scheduler.next_step();
    REQUIRE(p);
    step = p->step;
    sim.settle();
    return entry = p->entries.at(0);
  }
  void answer(const std::vector<token_id>& tokens) {
    step_result done;
    done.step = step;
    for (const auto t : tokens) done.tokens.push_back({{1}, {t, 0, {}}});
    sim.scheduler.step_done(done);
    sim.settle();
  }

  engine_sim sim{speculating()};
  plan_entry entry;
  uint64_t step = 0;
};

/// Request 1 again, with what it has generated.
spec_ptr go_on(std::vector<token_id> prompt, const std::vector<token_id>& generated) {
  auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, std::move(prompt), 12));
  s->tokens.insert(s->tokens.end(), generated.begin(), generated.end());
  return s;
}

spec_ptr urgent(uint64_t id, int32_t priority, uint32_t max_tokens) {
  const auto first = static_cast<token_id>(100 * id);
  auto s = std::make_shared<sequence_spec>(*engine_sim::spec(id, prompt(6, first), max_tokens));
  s->priority = priority;
  return s;
}

std::string order_of_ends(engine_sim& sim) {
  std::string out;
  std::set<uint64_t> known;
  while (sim.step()) {
    for (const auto& [id, why] : sim.ended) {
      if (known.insert(id).second) out += std::to_string(id) + " ";
    }
  }
  return out;
}

std::string render(const step_plan& plan) {
  std::string out;
  for (const auto& e : plan.entries) {
    out += std::to_string(e.id.value) + ":" + std::to_string(e.num_past) + "+" +
           std::to_string(e.num_tokens) + (e.follows ? "~" : "") + (e.sample ? "! " : " ");
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
    CHECK(longest_wait(100'000) <= 80'000 + row_us);
    CHECK(longest_wait(100'000) >= 72'000);
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
    for (const uint32_t num_blocks : {32u, 8u, 132u, 108u}) {  // enough, or it is preempted
      for (int moment = 0; moment < 2 * 40 * 4; ++moment) {
        const bool in_step = moment % 2 == 1;
        const int steps = moment / 2 % 40;
        const size_t lost = std::array{0, 1, 3, 9}[static_cast<size_t>(moment / 80)];
        CAPTURE(num_blocks);
        CAPTURE(in_step);
        CAPTURE(steps);
        CAPTURE(lost);
        auto limits = small();
        limits.num_blocks = num_blocks % 100;
        limits.run_ahead = num_blocks > 100;
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

  TEST_CASE("it waits for that answer also when a step of others ends before it") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(3, 90), 12)).ok());
    REQUIRE(sim.begin_step());
    const auto all = expected(prompt(6), 12);
    REQUIRE(sim.scheduler.enqueue(go_on(prompt(6), {all.begin(), all.begin() + 3})).ok());
    REQUIRE(sim.scheduler.drain().reserves.size() == 1);
    sim.output[1] = {all[0]};
    REQUIRE(sim.scheduler.enqueue(go_on(prompt(6), sim.output[1])).ok());
    sim.end_step();
    sim.scheduler.on_reserved({{1}, true, sim.memory.take(3).value(), 8});  // of nine tokens
    sim.run();
    CHECK(sim.output[1] == all);
    CHECK(sim.output[2] == expected(prompt(3, 90), 12));
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
    for (const bool run_ahead : {false, true}) {
      auto limits = small();
      limits.run_ahead = run_ahead;
      engine_sim sim{limits};
      auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, prompt(5), 20));
      const auto want = expected(prompt(5), 20);
      s->end_ids = {want[3]};
      REQUIRE(sim.scheduler.enqueue(s).ok());
      sim.run();
      CHECK(sim.output[1] == std::vector<token_id>(want.begin(), want.begin() + 4));
      CHECK(sim.ended[1] == stop_reason::end_token);
      CHECK(sim.computed_rows == 5 + 3 + (run_ahead ? 1 : 0));
      CHECK(sim.memory.stats().num_used == 0);
    }
  }

  TEST_CASE("decodes run one step ahead until there is something else to do") {
    auto limits = small();
    limits.run_ahead = true;
    engine_sim sim{limits};
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(3), 6)).ok());
    REQUIRE(sim.begin_step());
    CHECK(render(sim.plan()) == "1:0+3! ");
    CHECK(sim.num_in_flight() == 1);  // not behind a prompt
    sim.end_step();
    REQUIRE(sim.begin_step());
    CHECK(render(sim.plan()) == "1:3+1! ");
    CHECK(sim.num_in_flight() == 2);  // and no third
    sim.end_step();
    CHECK(render(sim.plan()) == "1:4+1~! ");
    CHECK(sim.output[1].size() == 2);
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(3, 90), 2)).ok());
    sim.settle();
    REQUIRE(sim.begin_step());
    CHECK(sim.num_in_flight() == 1);  // the prompt goes into the next one
    sim.end_step();
    REQUIRE(sim.begin_step());
    CHECK(render(sim.plan()) == "1:5+1! 2:0+3! ");
    sim.end_step();
    REQUIRE(sim.begin_step());
    CHECK(render(sim.plan()) == "1:6+1! 2:3+1! ");
    CHECK(sim.num_in_flight() == 2);
    sim.end_step();
    CHECK(render(sim.plan()) == "1:7+1~! ");  // the other one's last token was in that step
    sim.run();
    CHECK(sim.output[1] == expected(prompt(3), 6));
    CHECK(sim.output[2] == expected(prompt(3, 90), 2));
    CHECK(sim.computed_rows == 3 + 5 + 3 + 1);  // none for nothing
    CHECK(sim.scheduler.stats().steps_ahead == 2);
    CHECK(sim.memory.stats().num_used == 0);
  }

  TEST_CASE("steps that run ahead leave guesses that pay their turn") {
    uint64_t accepted[2] = {};
    for (const bool run_ahead : {false, true}) {
      CAPTURE(run_ahead);
      auto limits = speculating();
      limits.run_ahead = run_ahead;
      engine_sim sim{limits};
      sim.period = 16;
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, repeating_prompt(48, 16), 80)).ok());
      sim.run();
      CHECK(sim.output[1] == expected(repeating_prompt(48, 16), 80, 16));
      CHECK((sim.scheduler.stats().steps_ahead > 0) == run_ahead);
      accepted[run_ahead] = sim.scheduler.stats().accepted_tokens;
    }
    CHECK(accepted[0] >= 30);
    CHECK(accepted[1] * 10 >= accepted[0] * 9);
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

  TEST_CASE("those of a lower priority number go first, the others in the order of their coming") {
    auto limits = small();
    limits.max_running = 1;
    engine_sim sim{limits};
    for (const auto& [id, priority] :
         std::map<uint64_t, int32_t>{{1, 0}, {2, 5}, {3, -1}, {4, 0}}) {
      REQUIRE(sim.scheduler.enqueue(urgent(id, priority, 3)).ok());
    }
    CHECK(order_of_ends(sim) == "3 1 4 2 ");
  }

  TEST_CASE("one that came later goes on first, once it runs beside others") {
    engine_sim sim{small()};
    REQUIRE(sim.scheduler.enqueue(urgent(1, 1, 3)).ok());
    REQUIRE(sim.step());
    REQUIRE(sim.scheduler.enqueue(urgent(2, 0, 3)).ok());
    REQUIRE(sim.begin_step());
    CHECK(sim.plan().entries.at(0).id.value == 1);  // a token that is due does not wait
    sim.end_step();
    REQUIRE(sim.begin_step());
    CHECK(sim.plan().entries.at(0).id.value == 2);
    sim.end_step();
    sim.run();
    CHECK(sim.output[1] == expected(prompt(6, 100), 3));
    CHECK(sim.output[2] == expected(prompt(6, 200), 3));
  }

  TEST_CASE("a pool that is too small preempts the lowest priority, however old it is") {
    auto limits = small();
    limits.num_blocks = 16;
    engine_sim sim{limits};
    REQUIRE(sim.scheduler.enqueue(urgent(1, 1, 50)).ok());
    REQUIRE(sim.step());
    for (const uint64_t id : {2, 3}) REQUIRE(sim.scheduler.enqueue(urgent(id, 0, 25)).ok());
    std::map<uint64_t, int> num_begun;
    while (sim.begin_step()) {
      for (const auto& e : sim.plan().entries) num_begun[e.id.value] += e.spec != nullptr;
      sim.end_step();
    }
    CHECK(num_begun[1] > 0);  // again: its first step was before
    CHECK(num_begun[2] == 1);
    CHECK(num_begun[3] == 1);
    CHECK(sim.scheduler.stats().preemptions > 0);
    CHECK(sim.output[1] == expected(prompt(6, 100), 50));
    CHECK(sim.output[2] == expected(prompt(6, 200), 25));
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
    for (int moment = 0; moment < 2 * 6; ++moment) {
      const int steps_before = moment / 2;
      CAPTURE(steps_before);
      auto limits = small();
      limits.run_ahead = moment % 2 == 1;
      engine_sim sim{limits};
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, prompt(20), 30)).ok());
      for (int i = 0; i < steps_before; ++i) REQUIRE(sim.step());
      REQUIRE(sim.begin_step());
      sim.scheduler.cancel({1});
      sim.settle();
      const auto num_told = sim.output[1].size();
      while (sim.num_in_flight() > 0) sim.end_step();
      CHECK(sim.output[1].size() == num_told);
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
      limits.max_step_drafts = pick(2) * 8;
      limits.run_ahead = pick(2) == 1;
      engine_sim sim{limits};
      sim.period = pick(2) * 5;
      std::map<uint64_t, std::vector<token_id>> want;
      uint64_t next = 0;
      const int events = test::scaled(5000) / 20;
      for (int i = 0; i < events; ++i) {
        if (pick(3) == 0) {
          const auto n = 1 + pick(30);
          const auto p = prompt(n, static_cast<token_id>(1 + 5 * pick(3)));
          const auto max = 1 + pick(64 - n);
          auto s =
              std::make_shared<sequence_spec>(*engine_sim::spec(next, p, max, pick(2) ? "a" : "b"));
          auto all = expected(p, max, sim.period);
          if (pick(2) == 1) s->end_ids = {all[pick(max)]};
          const auto added = sim.scheduler.enqueue(s);
          if (const auto end =
                  std::find_first_of(all.begin(), all.end(), s->end_ids.begin(), s->end_ids.end());
              end != all.end()) {
            all.erase(end + 1, all.end());
          }
          if (added.ok()) want[next] = all;
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

  TEST_CASE("guesses are verified within the blocks that the sequence has") {
    drafting d;
    CHECK(d.entry.num_past == 46);
    CHECK(d.entry.num_tokens == 1);
    CHECK(d.entry.drafts == std::vector<token_id>{16});  // position 47 ends the last block
    CHECK(d.sim.scheduler.stats().draft_tokens == 1);
    d.answer({16, 1});
    d.plan();
    CHECK(d.entry.drafts == std::vector<token_id>{2, 3, 4});
  }

  TEST_CASE("a sequence goes on behind the guesses that came true") {
    struct row {
      const char* name;
      std::vector<token_id> answer;
      uint32_t num_past, accepted;
    };
    const row table[] = {
        {"all", {2, 3, 4, 5}, 52, 3}, {"some", {2, 3, 700}, 51, 2}, {"none", {700}, 49, 0}};
    for (const auto& r : table) {
      CAPTURE(r.name);
      drafting d;
      d.answer({16, 1});
      d.plan();
      REQUIRE(d.entry.num_past == 48);
      d.answer(r.answer);
      CHECK(d.sim.scheduler.stats().accepted_tokens == 1 + r.accepted);
      CHECK(d.sim.output[1].size() == 3 + r.answer.size());
      CHECK(d.sim.output[1].back() == r.answer.back());
      CHECK(d.plan().num_past == r.num_past);
      CHECK(d.entry.drafts.empty() == (r.accepted < 3));
      d.answer({701});
      d.sim.scheduler.cancel({1});
      d.sim.settle();
      CHECK(d.sim.memory.stats().num_used == 0);
    }
  }

  TEST_CASE("an end token among the guesses ends the sequence, and nothing behind it counts") {
    drafting d{100, {2}};
    d.answer({16, 1});
    d.plan();
    d.answer({2, 3, 4, 5});
    CHECK(d.sim.output[1] == std::vector<token_id>{15, 16, 1, 2});
    CHECK(d.sim.ended[1] == stop_reason::end_token);
    CHECK(d.sim.scheduler.idle());
    CHECK(d.sim.memory.stats().num_used == 0);
    // Sealed are whole blocks of tokens that came true: prompt, 15 16.
    auto all = repeating_prompt(46, 16);
    all.insert(all.end(), {15, 16, 1, 2, 3, 4, 5});
    const auto match = d.sim.memory.match("a", all);
    CHECK(match.num_tokens == 48);
    CHECK(d.sim.memory.release(match.blocks).ok());
  }

  TEST_CASE("no guess goes beyond max_tokens") {
    drafting d{5};
    d.answer({16, 1});
    d.plan();
    CHECK(d.entry.drafts == std::vector<token_id>{2});
    d.answer({2, 3});
    CHECK(d.sim.output[1].size() == 5);
    CHECK(d.sim.ended[1] == stop_reason::length);
    CHECK(d.sim.scheduler.idle());
  }

  TEST_CASE("a sequence may be cancelled or go back while guesses are verified") {
    drafting d;
    d.answer({16, 1});
    d.plan();
    SUBCASE("cancel") {
      d.sim.scheduler.cancel({1});
      d.answer({2, 3, 4, 5});
      CHECK(d.sim.output[1].size() == 3);
      CHECK(d.sim.scheduler.idle());
    }
    SUBCASE("go back") {
      auto s = std::make_shared<sequence_spec>(*engine_sim::spec(1, repeating_prompt(46, 16), 100));
      s->tokens.insert(s->tokens.end(), {15, 16});
      REQUIRE(d.sim.scheduler.enqueue(s).ok());
      d.sim.output[1].pop_back();
      d.answer({2, 3, 4, 5});
      CHECK(d.sim.output[1].size() == 2);
      CHECK(d.plan().num_past == 44);  // whole blocks of 48 tokens but the last, from the cache
      CHECK(d.entry.num_tokens == 4);
      d.answer({1});
      CHECK(d.plan().drafts == std::vector<token_id>{2, 3, 4});
      d.answer({2});
      d.sim.scheduler.cancel({1});
      d.sim.settle();
    }
    CHECK(d.sim.memory.stats().num_used == 0);
  }

  TEST_CASE("guesses leave half of what the decodes left to prompts") {
    auto limits = speculating();
    limits.max_step_tokens = 8;
    limits.max_prefill_chunk = 8;
    engine_sim sim{limits};
    sim.period = 16;
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, repeating_prompt(46, 16), 60)).ok());
    while (sim.scheduler.stats().accepted_tokens < 8) REQUIRE(sim.step());
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(2, prompt(40, 90), 5)).ok());
    const auto steps = sim.scheduler.stats().steps;
    while (sim.output[2].empty()) REQUIRE(sim.step());
    CHECK(sim.scheduler.stats().steps - steps <= 12);
  }

  TEST_CASE("guesses save steps where the text repeats itself and change no token") {
    for (const uint32_t num_sequences : {1u, 2u, 4u}) {
      CAPTURE(num_sequences);
      uint64_t steps[2];
      for (const bool guesses : {false, true}) {
        auto limits = speculating();
        limits.max_running = num_sequences;
        limits.num_blocks = 512;
        if (!guesses) limits.max_step_drafts = 0;
        engine_sim sim{limits};
        sim.period = 20;
        for (uint64_t id = 1; id <= num_sequences; ++id) {
          const auto p = repeating_prompt(50, 20, static_cast<token_id>(100 * id));
          REQUIRE(sim.scheduler.enqueue(engine_sim::spec(id, p, 150)).ok());
        }
        sim.run();
        for (uint64_t id = 1; id <= num_sequences; ++id) {
          const auto p = repeating_prompt(50, 20, static_cast<token_id>(100 * id));
          CHECK(sim.output[id] == expected(p, 150, 20));
        }
        const auto stats = sim.scheduler.stats();
        CHECK((stats.draft_tokens > 0) == guesses);
        CHECK((stats.accepted_tokens > stats.draft_tokens / 2) == guesses);
        CHECK(stats.decode_tokens + stats.accepted_tokens == num_sequences * 149);
        CHECK(sim.memory.stats().num_used == 0);
        steps[guesses] = stats.steps;
      }
      CHECK(steps[1] * 8 < steps[0] * 7);
    }
  }

  TEST_CASE("guesses stop where they do not come true") {
    auto limits = speculating();
    engine_sim sim{limits};  // a hash of all tokens never repeats a text
    REQUIRE(sim.scheduler.enqueue(engine_sim::spec(1, repeating_prompt(50, 2), 200)).ok());
    sim.run();
    CHECK(sim.output[1] == expected(repeating_prompt(50, 2), 200));
    CHECK(sim.scheduler.stats().draft_tokens <= max_drafts);
  }

  TEST_CASE("a pool that is too small for guesses preempts the youngest and changes no token") {
    auto limits = speculating();
    limits.num_blocks = 40;
    engine_sim sim{limits};
    sim.period = 10;
    for (uint64_t id = 1; id <= 4; ++id) {
      const auto p = repeating_prompt(24, 10, static_cast<token_id>(100 * id));
      REQUIRE(sim.scheduler.enqueue(engine_sim::spec(id, p, 100)).ok());
    }
    sim.run();
    CHECK(sim.scheduler.stats().preemptions > 0);
    CHECK(sim.scheduler.stats().accepted_tokens > 0);
    for (uint64_t id = 1; id <= 4; ++id) {
      const auto p = repeating_prompt(24, 10, static_cast<token_id>(100 * id));
      CHECK(sim.output[id] == expected(p, 100, 10));
    }
    CHECK(sim.memory.stats().num_used == 0);
  }
}
