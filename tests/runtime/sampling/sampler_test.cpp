#include "runtime/sampling/sampler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "tests/runtime/sampling/naive_sampler.hpp"
#include "tests/support/allocation_meter.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using floats = std::vector<float>;
using ids = std::vector<token_id>;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float largest = std::numeric_limits<float>::max();

/// Greedy, everything else off.
sampling_params greedy() {
  sampling_params p;
  p.temperature = 0;
  return p;
}

/// Every filter off, temperature 1.
sampling_params plain(uint64_t seed) {
  sampling_params p;
  p.temperature = 1;
  p.top_k = 0;
  p.top_p = 1;
  p.min_p = 0;
  p.seed = seed;
  return p;
}

token_id choose(const sampling_params& p, const floats& logits, const ids& history = {},
                uint32_t index = 0, const ids& end_tokens = {}) {
  sampler s{p, end_tokens, static_cast<uint32_t>(logits.size())};
  return s.sample(logits, history, index).id;
}

/// The logits after penalties, seen through greedy choices: what must be added to an untouched
/// logit `x` of token 0 to beat token `id` is found by comparing with `want`.
bool scores(const sampling_params& p, const floats& logits, const ids& history, token_id id,
            float want) {
  floats probe = logits;
  probe.push_back(std::nextafter(want, inf));
  floats masked(probe.size(), -inf);
  masked[id] = probe[id];
  masked.back() = probe.back();
  const bool below = choose(p, masked, history) == std::ssize(probe) - 1;
  masked.back() = want;  // a tie: the lower id wins
  return below && choose(p, masked, history) == id;
}

}  // namespace

TEST_SUITE("runtime.sampling.sampler") {
  TEST_CASE("temperature 0 takes the largest logit and the lowest id among equals") {
    CHECK(choose(greedy(), {1, 3, 2}) == 1);
    CHECK(choose(greedy(), {1, 3, 3, 3}) == 1);
    CHECK(choose(greedy(), {-0.0f, 0.0f}) == 0);
    CHECK(choose(greedy(), {-5, -inf, -4}) == 2);
    CHECK(choose(greedy(), {not_a_number, 1, not_a_number}) == 1);
    CHECK(choose(greedy(), {1, inf, largest}) == 1);
    CHECK(choose(greedy(), {1, -inf, not_a_number, largest}) == 3);
  }

  TEST_CASE("penalties change logits as computed by hand") {
    struct row {
      const char* name;
      float repetition, frequency, presence;
      float want_positive, want_negative, want_zero;  // of logits 3, -3, 0 seen 2, 1 and 1 times
    };
    const row rows[] = {
        {"none", 1, 0, 0, 3, -3, 0},
        {"repetition divides positive, multiplies negative", 2, 0, 0, 1.5f, -6, 0},
        {"repetition below 1 favours", 0.5f, 0, 0, 6, -1.5f, 0},
        {"frequency per occurrence", 1, 0.5f, 0, 2, -3.5f, -0.5f},
        {"presence once", 1, 0, 0.25f, 2.75f, -3.25f, -0.25f},
        {"negative ones favour", 1, -0.5f, -0.25f, 4.25f, -2.25f, 0.75f},
        {"repetition first, then the others", 2, 0.5f, 0.25f, 0.25f, -6.75f, -0.75f},
    };
    const floats logits = {3, -3, 0, 7};
    const ids history = {0, 1, 2, 0};
    for (const row& r : rows) {
      CAPTURE(r.name);
      sampling_params p = greedy();
      p.repetition_penalty = r.repetition;
      p.frequency_penalty = r.frequency;
      p.presence_penalty = r.presence;
      CHECK(scores(p, logits, history, 0, r.want_positive));
      CHECK(scores(p, logits, history, 1, r.want_negative));
      CHECK(scores(p, logits, history, 2, r.want_zero));
      CHECK(scores(p, logits, history, 3, 7));
    }
  }

  TEST_CASE("a device can choose where it can be told all that matters") {
    struct row {
      const char* name;
      bool want;
      std::function<void(sampling_params&)> set;
    };
    const row rows[] = {
        {"nothing else", true, [](sampling_params&) {}},
        {"penalties over a window", true, [](auto& p) { p.presence_penalty = 1; }},
        {"over all of the past", false,
         [](auto& p) {
           p.presence_penalty = 1;
           p.penalty_window = -1;
         }},
        {"such a window without penalties", true, [](auto& p) { p.penalty_window = -1; }},
        {"as many as there is room for", true,
         [](auto& p) {
           p.frequency_penalty = 1;
           p.penalty_window = 510;
           p.logit_bias = {{1, 2.0f}, {2, 3.0f}};
         }},
        {"one more", false,
         [](auto& p) {
           p.frequency_penalty = 1;
           p.penalty_window = 511;
           p.logit_bias = {{1, 2.0f}, {2, 3.0f}};
         }},
        {"log-probabilities", false, [](auto& p) { p.logprobs = true; }},
        {"alternatives", false, [](auto& p) { p.top_logprobs = 1; }},
        {"typical sampling", false, [](auto& p) { p.typical_p = 0.5f; }},
        {"eight masked", true, [](auto& p) { p.ignore_eos = true; }},
        {"nine masked", false,
         [](auto& p) {
           p.min_tokens = 1;
           p.stop_token_ids = {9};
         }},
        {"nine that end and are not masked", true, [](auto& p) { p.stop_token_ids = {9}; }},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      sampling_params p = plain(1);
      r.set(p);
      CHECK(sampler(p, ids{0, 1, 2, 3, 4, 5, 6, 7}, 1000).has_choice() == r.want);
    }
  }

  TEST_CASE("the window holds exactly the last tokens") {
    struct row {
      int32_t window;
      int times;  // token 0 stands at distances 1, 3 and 4 from the end
    };
    const ids history = {0, 0, 1, 0};
    for (const row& r : {row{0, 0}, row{1, 1}, row{2, 1}, row{3, 2}, row{4, 3}, row{5, 3},
                         row{INT32_MAX, 3}, row{-1, 3}}) {
      CAPTURE(r.window);
      sampling_params p = greedy();
      p.frequency_penalty = 1;
      p.penalty_window = r.window;
      CHECK(scores(p, {5, 0}, history, 0, 5 - float(r.times)));
    }
  }

  TEST_CASE("a bias is added before penalties") {
    sampling_params p = greedy();
    p.logit_bias[0] = 5;
    p.repetition_penalty = 2;
    CHECK(scores(p, {-3, 0}, {0}, 0, 1));
    p.logit_bias[0] = -100;
    CHECK(choose(p, {50, 0}) == 1);
  }

  TEST_CASE("changed logits stay finite where arithmetic would overflow") {
    sampling_params p = greedy();
    p.repetition_penalty = 1e-30f;
    CHECK(choose(p, {largest, 1}, {0}) == 0);
    p.repetition_penalty = 10;
    CHECK(choose(p, {-largest, -largest}, {0}) == 1);
    p = plain(1);
    p.logit_bias[0] = 100;
    p.temperature = 1e-30f;
    CHECK(choose(p, {largest, -largest}) == 0);
  }

  TEST_CASE("end tokens are masked before min_tokens and with ignore_eos, stop ids by min_tokens") {
    const floats logits = {5, 4, 3};
    const ids end = {0};
    sampling_params p = greedy();
    CHECK(choose(p, logits, {}, 0, end) == 0);
    p.min_tokens = 2;
    CHECK(choose(p, logits, {}, 1, end) == 1);
    CHECK(choose(p, logits, {}, 2, end) == 0);
    p.stop_token_ids = {1};
    CHECK(choose(p, logits, {}, 1, end) == 2);
    p.ignore_eos = true;
    CHECK(choose(p, logits, {}, 1, end) == 2);
    CHECK(choose(p, logits, {}, 2, end) == 1);
    p.logit_bias[0] = 100;  // no bias lifts the mask
    CHECK(choose(p, logits, {}, 2, end) == 1);
  }

  TEST_CASE("where nothing is possible the lowest id outside the end mask comes out") {
    sampling_params p = plain(1);
    CHECK(choose(p, {-inf, not_a_number}) == 0);
    p.ignore_eos = true;
    CHECK(choose(p, {7, -inf, -inf}, {}, 0, {0}) == 1);
    CHECK(choose(p, {7, 7, not_a_number}, {}, 0, {1, 0}) == 2);
    CHECK(choose(p, {7, 7}, {}, 0, {1, 0}) == 0);
    p.temperature = 0;
    CHECK(choose(p, {7, -inf, -inf}, {}, 0, {0}) == 1);
  }

  TEST_CASE("a filter leaves exactly the tokens of its definition") {
    // Probabilities 1/2, 1/4, 1/8, 1/16, 1/16 at ids 4, 3, 2, 1, 0.
    const float e = std::log(2.0f);
    const floats logits = {-3 * e, -3 * e, -2 * e, -e, 0};
    struct row {
      const char* name;
      void (*set)(sampling_params&);
      ids want;
    };
    const row rows[] = {
        {"top_k 1", [](auto& p) { p.top_k = 1; }, {4}},
        {"top_k 4: of two equals the lower id", [](auto& p) { p.top_k = 4; }, {0, 2, 3, 4}},
        {"top_k beyond the vocabulary", [](auto& p) { p.top_k = 9; }, {0, 1, 2, 3, 4}},
        {"top_p to the first", [](auto& p) { p.top_p = 0.4f; }, {4}},
        {"top_p to the third", [](auto& p) { p.top_p = 0.76f; }, {2, 3, 4}},
        {"top_p splits equals", [](auto& p) { p.top_p = 0.9f; }, {0, 2, 3, 4}},
        {"min_p 1", [](auto& p) { p.min_p = 1; }, {4}},
        {"min_p 0.2", [](auto& p) { p.min_p = 0.2f; }, {2, 3, 4}},
        {"top_k renormalises for top_p",
         [](auto& p) {
           p.top_k = 2;
           p.top_p = 0.67f;
         },
         {3, 4}},
        {"temperature comes last",
         [](auto& p) {
           p.temperature = 50;
           p.top_p = 0.7f;
         },
         {3, 4}},
        // Expected distance to the top is 0.875 ln 2 here: id 3 is nearest, then 4, then 2.
        {"typical_p takes the expected first", [](auto& p) { p.typical_p = 0.2f; }, {3}},
        {"typical_p goes on to the top", [](auto& p) { p.typical_p = 0.5f; }, {3, 4}},
        {"typical_p beyond it", [](auto& p) { p.typical_p = 0.8f; }, {2, 3, 4}},
        {"min_p sees what typical_p left",
         [](auto& p) {
           p.typical_p = 0.2f;
           p.min_p = 1;
         },
         {3}},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      sampling_params p = plain(11);
      r.set(p);
      std::vector<int> seen(logits.size());
      for (uint32_t i = 0; i < 900; ++i) ++seen[choose(p, logits, {}, i)];
      ids got;
      for (token_id id = 0; id < std::ssize(seen); ++id) {
        if (seen[id] > 0) got.push_back(id);
      }
      CHECK(got == r.want);
    }
  }

  TEST_CASE("min_p counts in the units of weights") {
    const floats logits = {0, std::log(1.7f * 0x1p-40f)};  // the second weighs one unit
    sampling_params p = plain(5);
    p.temperature = 100;  // and is drawn often nevertheless
    const auto is_drawn = [&](float min_p) {
      p.min_p = min_p;
      int seen = 0;
      for (uint32_t i = 0; i < 50; ++i) seen += choose(p, logits, {}, i);
      return seen > 0;
    };
    CHECK(is_drawn(0x1p-41f));
    CHECK(is_drawn(0x1p-40f));
    CHECK(!is_drawn(1.2f * 0x1p-40f));
  }

  TEST_CASE("of equals top_p keeps those that reach its mass, typical_p those that exceed it") {
    struct row {
      float top_p, typical_p;
      token_id last;
    };
    for (const row& r : {row{0.5f, 1, 1}, row{0.51f, 1, 2}, row{1, 0.5f, 2}, row{1, 0.49f, 1}}) {
      sampling_params p = plain(2);
      p.top_p = r.top_p;
      p.typical_p = r.typical_p;
      token_id last = 0;
      for (uint32_t i = 0; i < 100; ++i) last = std::max(last, choose(p, {7, 7, 7, 7}, {}, i));
      CHECK(last == r.last);
    }
  }

  TEST_CASE("among equals the uniform picks by position, also where it falls on a border") {
    const floats logits(4096, -4.0f);
    sampler s{plain(3), {}, 4096};
    int on_border = 0;
    for (uint32_t i = 0; on_border < 3; ++i) {  // one uniform of 4,096 falls on a border
      const float at = philox_uniform(3, i, 0) * 4096;
      const bool is_border = at == std::floor(at);
      on_border += is_border;
      if (is_border || i < 100) REQUIRE(s.sample(logits, {}, i).id == token_id(at));
    }
  }

  TEST_CASE("however small a temperature, equals are still drawn from") {
    sampling_params p = plain(4);
    p.temperature = std::numeric_limits<float>::denorm_min();
    int seen[3] = {};
    for (uint32_t i = 0; i < 50; ++i) ++seen[choose(p, {1, 1, 0.999f}, {}, i)];
    CHECK(seen[0] > 0);
    CHECK(seen[1] > 0);
    CHECK(seen[2] == 0);
  }

  TEST_CASE("token i alone equals token i of the sequence, and a seed decides the sequence") {
    std::mt19937 rng{5};
    std::normal_distribution<float> normal{0, 2};
    std::vector<floats> steps(100, floats(50));
    for (floats& l : steps) {
      for (float& x : l) x = normal(rng);
    }
    const auto run = [&](uint64_t seed) {
      sampler s{plain(seed), {}, 50};
      ids out;
      for (uint32_t i = 0; i < steps.size(); ++i) out.push_back(s.sample(steps[i], out, i).id);
      return out;
    };
    const ids first = run(1);
    CHECK(run(1) == first);
    CHECK(run(2) != first);
    for (uint32_t i = 0; i < steps.size(); ++i)
      CHECK(choose(plain(1), steps[i], {}, i) == first[i]);
  }

  TEST_CASE("samplers that share scratch do not disturb each other") {
    const auto scratch = std::make_shared<sampler_scratch>();
    sampling_params p = plain(3);
    p.frequency_penalty = 1;
    sampler small{p, {}, 3, scratch};
    sampler large{p, {}, 500, scratch};
    const floats few = {1, 2, 3};
    floats many(500);
    for (size_t i = 0; i < many.size(); ++i) many[i] = float(i % 7);
    for (uint32_t i = 0; i < 50; ++i) {
      CHECK(large.sample(many, ids{499, 3}, i).id == choose(p, many, {499, 3}, i));
      CHECK(small.sample(few, ids{2, 2}, i).id == choose(p, few, {2, 2}, i));
    }
  }

  TEST_CASE("log-probabilities are those of the raw logits") {
    sampling_params p = greedy();
    p.logprobs = true;
    p.top_logprobs = 3;
    p.logit_bias[2] = 100;
    const floats logits = {1, 2, -1, 2, not_a_number};
    sampler s{p, {}, 5};
    const sampled_token t = s.sample(logits, {}, 0);
    const double log_sum = std::log(std::exp(1.0) + 2 * std::exp(2.0) + std::exp(-1.0));
    CHECK(t.id == 2);
    CHECK(double(t.logprob) == doctest::Approx(-1 - log_sum).epsilon(1e-6));
    REQUIRE(t.top.size() == 3);
    CHECK(t.top[0].id == 1);
    CHECK(t.top[1].id == 3);
    CHECK(t.top[2].id == 0);
    CHECK(t.top[0].logprob == t.top[1].logprob);
    CHECK(double(t.top[0].logprob) == doctest::Approx(2 - log_sum).epsilon(1e-6));
    CHECK(double(t.top[2].logprob) == doctest::Approx(1 - log_sum).epsilon(1e-6));
  }

  TEST_CASE(
      "log-probabilities survive hopeless logits and leave impossible tokens out of the list") {
    sampling_params p = greedy();
    p.logprobs = true;
    p.top_logprobs = 20;
    sampler s{p, {}, 3};
    const sampled_token some = s.sample(floats{-inf, 1000, not_a_number}, {}, 0);
    CHECK(some.logprob == 0);
    CHECK(some.top == std::vector<token_logprob>{{1, 0}});
    const sampled_token none = s.sample(floats{-inf, not_a_number, not_a_number}, {}, 0);
    CHECK(none.logprob == -inf);
    CHECK(none.top.empty());
  }

  TEST_CASE("log-probabilities that round to one value are listed by id") {
    sampling_params p = greedy();
    p.top_logprobs = 3;
    sampler s{p, {}, 3};
    const sampled_token t = s.sample(floats{1e-9f, 2e-9f, 100}, {}, 0);
    CHECK(t.top[0].id == 2);
    CHECK(t.top[1].id == 0);
    CHECK(t.top[2].id == 1);
  }
}

namespace {

enum class shape { spread, ties, gaps, odd, near_equal, equal, zipf, two_levels, count_ };

float random_logit(std::mt19937& rng, shape kind, float spread) {
  std::normal_distribution<float> normal{0, 1};
  const float odd[] = {not_a_number, inf, -inf, largest, -largest, 1e30f, -1e30f, 0.0f, -0.0f};
  const float x = normal(rng) * spread;
  switch (kind) {
    case shape::ties: return std::round(x);
    case shape::gaps: return rng() % 3 == 0 ? -inf : x;
    case shape::odd: return rng() % 5 == 0 ? odd[rng() % std::size(odd)] : x;
    case shape::near_equal: return 7 + x * 1e-5f;
    case shape::equal: return spread;
    case shape::zipf: return -2 * std::log(1 + float(rng() % 60000));
    case shape::two_levels: return rng() % 2 ? spread : 0;
    default: return x;
  }
}

floats random_logits(std::mt19937& rng, size_t n) {
  floats out(n);
  const float spread = float(1 + rng() % 20);
  const auto kind = shape(rng() % uint32_t(shape::count_));
  for (float& x : out) x = random_logit(rng, kind, spread);
  if (rng() % 8 == 0) out[rng() % n] += 12;  // one stands out
  if (rng() % 40 == 0) std::ranges::fill(out, -inf);
  return out;
}

sampling_params random_params(std::mt19937& rng, size_t n) {
  const auto unit = [&] { return float(1 + rng() % 1000) / 1000; };
  const auto maybe = [&](float off, float on) { return rng() % 2 ? off : on; };
  sampling_params p = plain(rng());
  const float temperatures[] = {0, 1, 3 * unit(), 100 * unit(), 1e-30f};
  p.temperature = temperatures[rng() % 3 ? 1 + rng() % 2 : rng() % 5];
  p.top_k = rng() % 2 ? 0 : int32_t(rng() % (rng() % 2 ? 60 : n + 2));
  p.top_p = maybe(1, unit());
  p.min_p = maybe(0, unit() * std::pow(unit(), float(rng() % 12)));
  p.typical_p = maybe(1, unit());
  p.repetition_penalty = maybe(1, 2 * unit());
  p.frequency_penalty = maybe(0, 4 * unit() - 2);
  p.presence_penalty = maybe(0, 4 * unit() - 2);
  p.penalty_window = int32_t(rng() % 40) - 1;
  for (uint32_t i = rng() % 4; i > 0; --i) p.logit_bias[token_id(rng() % n)] = 200 * unit() - 100;
  p.stop_token_ids.assign(rng() % 3, token_id(rng() % n));
  p.min_tokens = rng() % 3;
  p.ignore_eos = rng() % 2;
  p.logprobs = rng() % 2;
  p.top_logprobs = rng() % 3 || !p.logprobs ? 0 : rng() % 21;
  return p;
}

/// One random request over n tokens: the samplers of all instruction sets give what the naive one
/// gives, log-probabilities included.
void compare_with_naive(std::mt19937& rng, size_t n,
                        const std::vector<std::shared_ptr<sampler_scratch>>& scratches) {
  const auto n_vocab = static_cast<uint32_t>(n);
  const floats logits = random_logits(rng, n);
  const sampling_params p = random_params(rng, n);
  REQUIRE(validate(p, n_vocab).ok());
  ids history(rng() % 50);
  for (token_id& t : history) t = token_id(rng() % n);
  ids end(rng() % 3);
  for (token_id& t : end) t = token_id(rng() % n);
  const uint32_t index = rng() % 5;
  const sampled_token want = test::naive_sample(p, end, logits, history, index);
  for (const auto& scratch : scratches) {
    CAPTURE(scratch->passes.name);
    sampler s{p, end, n_vocab, scratch};
    REQUIRE(s.sample(logits, history, index) == want);
  }
}

std::vector<std::shared_ptr<sampler_scratch>> scratch_of_each_table() {
  std::vector<std::shared_ptr<sampler_scratch>> out;
  for (const pass_table* table : available_passes()) {
    out.push_back(std::make_shared<sampler_scratch>(*table));
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.sampling.sampler") {
  TEST_CASE("every choice equals the naive sampler's over random logits and parameters") {
    std::mt19937 rng{6};
    const auto scratches = scratch_of_each_table();
    for (int i = 0; i < test::scaled(20000); ++i) {
      CAPTURE(i);
      compare_with_naive(rng, 1 + rng() % (i % 50 ? 60 : 5000), scratches);
    }
  }

  TEST_CASE("and over the vocabularies of large models") {
    std::mt19937 rng{7};
    const auto scratches = scratch_of_each_table();
    for (int i = 0; i < test::scaled(1000); ++i) {
      CAPTURE(i);
      compare_with_naive(rng, i % 10 ? 10000 + rng() % 40000 : 151936, scratches);
    }
  }

  TEST_CASE("no memory is taken once the buffers have grown but for the list that is asked for") {
    std::mt19937 rng{8};
    for (int i = 0; i < 60; ++i) {
      CAPTURE(i);
      const size_t n = 20000;
      sampling_params p = random_params(rng, n);
      const bool lists = p.top_logprobs > 0;
      sampler s{p, {}, n};
      const ids history(30, 3);
      std::vector<floats> steps;
      for (int step = 0; step < 5; ++step) steps.push_back(random_logits(rng, n));
      for (uint32_t step = 0; step < 5; ++step) s.sample(steps[step], history, step);
      const test::allocation_meter meter;
      for (uint32_t step = 1; step < 5; ++step) {
        const sampled_token t = s.sample(steps[step], history, step);
        if (!lists) CHECK(t.top.empty());
      }
      CHECK(meter.count() <= (lists ? 4 : 0));
    }
  }
}
