#include "runtime/sampling/params.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

using namespace llmos;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr uint32_t n_vocab = 100;

std::string verdict(const sampling_params& p) {
  const auto r = validate(p, n_vocab);
  return r.ok() ? "ok" : to_string(r.error());
}

struct float_field {
  const char* name;
  std::function<void(sampling_params&, float)> set;
  const char* range;
  std::vector<float> good;
  std::vector<std::pair<float, const char*>> bad;
};

const float just_above_100 = std::nextafter(100.0f, inf);

const std::vector<float_field> float_fields = {
    {"temperature",
     [](sampling_params& p, float x) { p.temperature = x; },
     "[0, 100]",
     {0, 1e-30f, 1, 100},
     {{-0.5f, "-0.5"}, {just_above_100, "100"}, {101, "101"}}},
    {"top_p",
     [](sampling_params& p, float x) { p.top_p = x; },
     "(0, 1]",
     {1e-30f, 0.5f, 1},
     {{-0.5f, "-0.5"}, {0, "0"}, {1.5f, "1.5"}}},
    {"min_p",
     [](sampling_params& p, float x) { p.min_p = x; },
     "[0, 1]",
     {0, 0.5f, 1},
     {{-0.5f, "-0.5"}, {1.5f, "1.5"}}},
    {"typical_p",
     [](sampling_params& p, float x) { p.typical_p = x; },
     "(0, 1]",
     {1e-30f, 0.5f, 1},
     {{-0.5f, "-0.5"}, {0, "0"}, {1.5f, "1.5"}}},
    {"repetition_penalty",
     [](sampling_params& p, float x) { p.repetition_penalty = x; },
     "(0, 10]",
     {1e-30f, 1, 10},
     {{-1, "-1"}, {0, "0"}, {10.5f, "10.5"}}},
    {"frequency_penalty",
     [](sampling_params& p, float x) { p.frequency_penalty = x; },
     "[-2, 2]",
     {-2, 0, 2},
     {{-2.5f, "-2.5"}, {2.5f, "2.5"}}},
    {"presence_penalty",
     [](sampling_params& p, float x) { p.presence_penalty = x; },
     "[-2, 2]",
     {-2, 0, 2},
     {{-2.5f, "-2.5"}, {2.5f, "2.5"}}},
    {"logit_bias of token 7",
     [](sampling_params& p, float x) { p.logit_bias[7] = x; },
     "[-100, 100]",
     {-100, 0, 100},
     {{-100.5f, "-100.5"}, {100.5f, "100.5"}}},
};

}  // namespace

TEST_SUITE("runtime.sampling.params") {
  TEST_CASE("the defaults are valid") {
    CHECK(verdict({}) == "ok");
  }

  TEST_CASE("a number field takes its range and refuses the rest by name, value and range") {
    for (const float_field& f : float_fields) {
      CAPTURE(f.name);
      auto bad = f.bad;
      bad.insert(bad.end(), {{not_a_number, "nan"}, {inf, "inf"}, {-inf, "-inf"}});
      for (const auto& [x, text] : bad) {
        sampling_params p;
        f.set(p, x);
        CHECK(verdict(p) == std::string("invalid_argument: ") + f.name + " is " + text +
                                "; allowed: " + f.range + " (choose a value in that range)");
      }
      for (float x : f.good) {
        sampling_params p;
        f.set(p, x);
        CHECK(verdict(p) == "ok");
      }
    }
  }

  TEST_CASE("a count or id takes its range and refuses the rest by name, value and range") {
    struct row {
      const char* name;
      std::function<void(sampling_params&)> set;
      const char* want;  // "ok" or what the text starts with
    };
    const auto strings = [](size_t count, size_t bytes) {
      return [=](sampling_params& p) { p.stop.assign(count, std::string(bytes, 'x')); };
    };
    const auto ids = [](size_t count, token_id id) {
      return [=](sampling_params& p) { p.stop_token_ids.assign(count, id); };
    };
    const row rows[] = {
        {"top_k 0", [](auto& p) { p.top_k = 0; }, "ok"},
        {"top_k cap", [](auto& p) { p.top_k = INT32_MAX; }, "ok"},
        {"top_k -1", [](auto& p) { p.top_k = -1; }, "top_k is -1; allowed: [0, 2147483647]"},
        {"window -1", [](auto& p) { p.penalty_window = -1; }, "ok"},
        {"window 0", [](auto& p) { p.penalty_window = 0; }, "ok"},
        {"window -2", [](auto& p) { p.penalty_window = -2; },
         "penalty_window is -2; allowed: [-1, 2147483647]"},
        {"top_logprobs cap", [](auto& p) { p.logprobs = (p.top_logprobs = 20) != 0; }, "ok"},
        {"top_logprobs alone", [](auto& p) { p.top_logprobs = 3; },
         "top_logprobs is 3 but logprobs is false"},
        {"top_logprobs cap+1", [](auto& p) { p.top_logprobs = 21; },
         "top_logprobs is 21; allowed: [0, 20]"},
        {"min_tokens = max", [](auto& p) { p.min_tokens = p.max_tokens = 9; }, "ok"},
        {"min_tokens > max", [](auto& p) { p.min_tokens = 1 + (p.max_tokens = 9); },
         "min_tokens is 10; allowed: [0, 9]"},
        {"max_tokens 0", [](auto& p) { p.max_tokens = 0; }, "ok"},
        {"max_tokens cap", [](auto& p) { p.max_tokens = UINT32_MAX; }, "ok"},
        {"16 stops", strings(16, 1), "ok"},
        {"17 stops", strings(17, 1), "number of stop strings is 17; allowed: [0, 16]"},
        {"stop of 256", strings(1, 256), "ok"},
        {"stop of 257", strings(1, 257), "bytes of stop string 0 is 257; allowed: [1, 256]"},
        {"empty stop", strings(1, 0), "bytes of stop string 0 is 0; allowed: [1, 256]"},
        {"64 stop ids", ids(64, 99), "ok"},
        {"65 stop ids", ids(65, 0), "number of stop_token_ids is 65; allowed: [0, 64]"},
        {"stop id 100", ids(1, 100), "token id in stop_token_ids is 100; allowed: [0, 99]"},
        {"stop id -1", ids(1, -1), "token id in stop_token_ids is -1; allowed: [0, 99]"},
        {"bias id 99", [](auto& p) { p.logit_bias[99] = 1; }, "ok"},
        {"bias id 100", [](auto& p) { p.logit_bias[100] = 1; },
         "token id in logit_bias is 100; allowed: [0, 99]"},
        {"bias id -1", [](auto& p) { p.logit_bias[-1] = 1; },
         "token id in logit_bias is -1; allowed: [0, 99]"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      sampling_params p;
      r.set(p);
      const auto got = validate(p, n_vocab);
      CHECK((got.ok() ? "ok" : got.error().text) == r.want);
    }
  }

  TEST_CASE("a vocabulary too large for exact sums is refused") {
    CHECK(validate({}, 1u << 23).ok());
    CHECK(validate({}, (1u << 23) + 1).error().code == ec::unsupported);
  }
}
