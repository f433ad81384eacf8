// Time to choose one token on one thread, for two sizes of vocabulary: what a decode step costs
// beyond the model. A row is CHOICE/DISTRIBUTION/ENTRIES; `--benchmark_filter=typical` picks rows,
// `--benchmark_repetitions=9 --benchmark_report_aggregates_only` gives medians.
//
// Distributions: "peaked" falls off like a model's (Zipf's law with exponent 2 over shuffled ids,
// so the nucleus of 95 % is a dozen tokens), "flat" is uniform in [0, 1) (all tokens stay likely),
// "equal" is constant.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "runtime/sampling/sampler.hpp"

using namespace llmos;

namespace {

std::vector<float> peaked(size_t n) {
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = -2.0f * std::log(1.0f + static_cast<float>(i));
  std::shuffle(out.begin(), out.end(), std::mt19937{1});
  return out;
}

std::vector<float> flat(size_t n) {
  std::vector<float> out(n);
  std::mt19937 rng{2};
  for (float& x : out) x = static_cast<float>(rng() >> 8) * 0x1p-24f;
  return out;
}

std::vector<float> equal(size_t n) {
  return std::vector<float>(n, 1.0f);
}

/// Temperature 0.8, every filter off.
sampling_params open() {
  sampling_params p;
  p.temperature = 0.8f;
  p.top_k = 0;
  p.top_p = 1;
  p.min_p = 0;
  p.seed = 7;
  return p;
}

struct choice {
  const char* name;
  void (*set)(sampling_params&);
};

constexpr choice choices[] = {
    {"greedy", [](auto& p) { p.temperature = 0; }},
    {"greedy_penalties",
     [](auto& p) {
       p.temperature = 0;
       p.repetition_penalty = 1.1f;
     }},
    {"defaults",
     [](auto& p) {
       p = {};
       p.seed = 7;
     }},
    {"top_k_40", [](auto& p) { p.top_k = 40; }},
    {"top_k_1000", [](auto& p) { p.top_k = 1000; }},
    {"top_p_0.95", [](auto& p) { p.top_p = 0.95f; }},
    {"min_p_0.05", [](auto& p) { p.min_p = 0.05f; }},
    {"unfiltered", [](auto&) {}},
    {"typical_p_0.9", [](auto& p) { p.typical_p = 0.9f; }},
    {"all_but_top_k",
     [](auto& p) {
       p.typical_p = 0.95f;
       p.top_p = 0.95f;
       p.min_p = 0.05f;
     }},
    {"greedy_logprobs",
     [](auto& p) {
       p.temperature = 0;
       p.logprobs = true;
     }},
    {"greedy_top_logprobs_20",
     [](auto& p) {
       p.temperature = 0;
       p.top_logprobs = 20;
     }},
};

struct distribution {
  const char* name;
  std::vector<float> (*make)(size_t n);
};

constexpr distribution distributions[] = {{"peaked", peaked}, {"flat", flat}, {"equal", equal}};

void sample_once(benchmark::State& state, const choice& c, const distribution& d, uint32_t n) {
  sampling_params p = open();
  c.set(p);
  const std::vector<float> logits = d.make(n);
  std::vector<token_id> history(64);
  for (size_t i = 0; i < history.size(); ++i) history[i] = static_cast<token_id>(i * 700);
  sampler s{p, {}, n};
  uint32_t index = 0;
  for (auto _ : state) benchmark::DoNotOptimize(s.sample(logits, history, index++).id);
}

}  // namespace

int main(int argc, char** argv) {
  for (const choice& c : choices) {
    for (const distribution& d : distributions) {
      for (const uint32_t n : {49152u, 151936u}) {
        const std::string name = std::string(c.name) + "/" + d.name + "/" + std::to_string(n);
        benchmark::RegisterBenchmark(name.c_str(), sample_once, c, d, n)
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
