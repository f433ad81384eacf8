#include "runtime/backend/cpu/cpu_backend.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/reference/reference_backend.hpp"
#include "tests/runtime/backend/cpu/scoped_cpu.hpp"
#include "tests/support/allocation_meter.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

constexpr uint32_t context = 320;  // two attention partitions

backend_limits small_limits(uint32_t num_threads = 1, uint32_t block_tokens = 16,
                            kv_type kv = kv_type::f16) {
  backend_limits l;
  l.max_rows = context;
  l.max_logits = context;
  l.max_seqs = 8;
  l.max_context = context;
  l.num_blocks = 4 * context / block_tokens;
  l.block_tokens = block_tokens;
  l.kv = kv;
  l.num_threads = num_threads;
  return l;
}

std::vector<token_id> random_tokens(uint32_t n, uint32_t n_vocab, uint64_t seed = 3) {
  test::splitmix64 random(seed);
  std::vector<token_id> out(n);
  for (token_id& t : out) t = static_cast<token_id>(random.below(n_vocab));
  return out;
}

std::vector<block_id> block_range(block_id first, const backend_limits& l) {
  std::vector<block_id> out(l.max_context / l.block_tokens);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Logits of all positions, the tokens fed in chunks.
std::vector<float> run_chunks(backend& b, const std::vector<token_id>& tokens, uint32_t chunk,
                              const std::vector<block_id>& blocks) {
  std::vector<float> out;
  for (uint32_t past = 0; past < tokens.size(); past += chunk) {
    const auto n = std::min<uint32_t>(chunk, static_cast<uint32_t>(tokens.size()) - past);
    const sequence_rows seq{0, n, past, blocks};
    std::vector<uint32_t> rows(n);
    std::iota(rows.begin(), rows.end(), 0u);
    const auto logits = b.forward({std::span(tokens).subspan(past, n), {&seq, 1}, rows});
    REQUIRE(logits.ok());
    out.insert(out.end(), logits->begin(), logits->end());
  }
  return out;
}

std::vector<float> all_logits(const std::shared_ptr<const model>& m, const backend_limits& limits,
                              const std::vector<token_id>& tokens, uint32_t chunk) {
  auto b = make_cpu_backend(m, limits);
  REQUIRE(b.ok());
  return run_chunks(**b, tokens, chunk, block_range(0, limits));
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Mean KL divergence of softmax(b) from softmax(a), rows of n.
double mean_kl(std::span<const float> a, std::span<const float> b, size_t n) {
  const auto log_sum = [n](std::span<const float> x) {
    const double top = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += std::exp(x[i] - top);
    return top + std::log(sum);
  };
  double total = 0;
  for (size_t at = 0; at < a.size(); at += n) {
    const auto x = a.subspan(at, n), y = b.subspan(at, n);
    const double zx = log_sum(x), zy = log_sum(y);
    for (size_t i = 0; i < n; ++i) total += std::exp(x[i] - zx) * (x[i] - zx - y[i] + zy);
  }
  return total / (static_cast<double>(a.size()) / static_cast<double>(n));
}

}  // namespace

TEST_SUITE("runtime.backend.cpu.cpu_backend") {
  TEST_CASE("instruction set, threads, chunks and block size do not change a bit of the logits") {
    const auto m = test::make_random_model({});
    const auto tokens = random_tokens(context - 3, m->hp.n_vocab);
    const auto want = all_logits(m, small_limits(), tokens, context);
    for (const cpu::kernel_table* table : cpu::available_kernels()) {
      CAPTURE(table->name);
      const std::string name = table->name;
      const test::scoped_cpu set(name.substr(0, name.find('-')));
      for (const uint32_t chunk : {7u, 64u, 300u}) {
        if (name == "portable" && chunk != 64) continue;  // slow
        CAPTURE(chunk);
        CHECK(same_bits(all_logits(m, small_limits(2), tokens, chunk), want));
      }
      CHECK(same_bits(all_logits(m, small_limits(3, 64), tokens, 50), want));
    }
    CHECK(same_bits(all_logits(m, small_limits(2), tokens, 1), want));
  }

  TEST_CASE("the same with K and V as q8_0, which gives other logits") {
    const auto m = test::make_random_model({});
    const auto tokens = random_tokens(context - 3, m->hp.n_vocab);
    const auto limits = [](uint32_t num_threads, uint32_t block_tokens) {
      return small_limits(num_threads, block_tokens, kv_type::q8_0);
    };
    const auto want = all_logits(m, limits(1, 16), tokens, context);
    CHECK_FALSE(same_bits(all_logits(m, small_limits(), tokens, context), want));
    for (const cpu::kernel_table* table : cpu::available_kernels()) {
      CAPTURE(table->name);
      const std::string name = table->name;
      const test::scoped_cpu set(name.substr(0, name.find('-')));
      CHECK(same_bits(all_logits(m, limits(2, 16), tokens, 64), want));
      CHECK(same_bits(all_logits(m, limits(3, 64), tokens, 50), want));
    }
    CHECK(same_bits(all_logits(m, limits(2, 16), tokens, 1), want));
  }

  TEST_CASE("a sequence gives the same bits alone and among others, on shared and copied blocks") {
    const auto m = test::make_random_model({.n_layers = 3});
    const backend_limits limits = small_limits(2);
    auto made = make_cpu_backend(m, limits);
    REQUIRE(made.ok());
    backend& b = **made;
    const auto tokens = random_tokens(100, m->hp.n_vocab);
    const auto alone = run_chunks(b, tokens, 100, block_range(0, limits));
    const size_t n_vocab = m->hp.n_vocab;

    // A second sequence shares blocks 0–3 (64 positions), a third has copies of them.
    auto shared = block_range(20, limits), copied = block_range(40, limits);
    std::copy_n(block_range(0, limits).begin(), 4, shared.begin());
    REQUIRE(b.copy_blocks(std::span(shared).first(4), std::span(copied).first(4)).ok());
    const auto other = random_tokens(30, m->hp.n_vocab, 4);
    const auto others_blocks = block_range(60, limits);
    std::vector<token_id> batch_tokens;
    batch_tokens.insert(batch_tokens.end(), other.begin(), other.end());
    batch_tokens.insert(batch_tokens.end(), tokens.begin() + 64, tokens.end());
    batch_tokens.insert(batch_tokens.end(), tokens.begin() + 64, tokens.end());
    const sequence_rows seqs[] = {
        {0, 30, 0, others_blocks}, {30, 36, 64, shared}, {66, 36, 64, copied}};
    const uint32_t rows[] = {65, 101};
    const auto logits = b.forward({batch_tokens, seqs, rows});
    REQUIRE(logits.ok());
    const auto last = std::span(alone).subspan(99 * n_vocab);
    CHECK(same_bits(logits->first(n_vocab), last));
    CHECK(same_bits(logits->subspan(n_vocab), last));
  }

  // Every type and architecture in usual sizes: tests/runtime/backend/random_models_test.cpp.
  TEST_CASE("sizes that fill no vector stay close to the reference") {
    const auto m = test::make_random_model({.type = tensor_type::f16,
                                            .n_embd = 90,
                                            .n_heads = 5,
                                            .n_kv_heads = 1,
                                            .head_dim = 18,
                                            .n_ff = 77,
                                            .n_vocab = 33});
    const auto tokens = random_tokens(300, m->hp.n_vocab);
    for (const kv_type kv : {kv_type::f16, kv_type::q8_0}) {
      CAPTURE(name_of(kv));
      const backend_limits limits = small_limits(2, 16, kv);
      const auto got = all_logits(m, limits, tokens, 60);
      auto reference = make_reference_backend(m, limits);
      REQUIRE(reference.ok());
      const auto want = run_chunks(**reference, tokens, 60, block_range(0, limits));
      // K and V of 16 bits are all that differs, or for q8_0 what multiplies them.
      CHECK(mean_kl(want, got, m->hp.n_vocab) < 1e-5);
    }
  }

  TEST_CASE("an embedding far wider than all else fits the scratch memory") {
    const auto m = test::make_random_model(
        {.n_layers = 1, .n_embd = 65536, .n_heads = 1, .n_kv_heads = 1, .n_ff = 32, .n_vocab = 40});
    const auto tokens = random_tokens(40, m->hp.n_vocab);
    const auto want = all_logits(m, small_limits(1), tokens, 1);
    for (int i = 0; i < 3; ++i) CHECK(same_bits(all_logits(m, small_limits(3), tokens, 40), want));
  }

  TEST_CASE("a step allocates nothing") {
    const auto m = test::make_random_model({});
    const backend_limits limits = small_limits(2, 16, kv_type::q8_0);
    auto b = make_cpu_backend(m, limits);
    REQUIRE(b.ok());
    const auto tokens = random_tokens(context, m->hp.n_vocab);
    const auto blocks = block_range(0, limits);
    const uint32_t row = 5;
    const test::allocation_meter meter;
    const sequence_rows prompt{0, 300, 0, blocks};
    const auto first = (*b)->forward({std::span(tokens).first(300), {&prompt, 1}, {&row, 1}});
    const sequence_rows next{0, 6, 300, blocks};
    const auto second = (*b)->forward({std::span(tokens).subspan(300, 6), {&next, 1}, {&row, 1}});
    const size_t count = meter.count();
    CHECK(first.ok());
    CHECK(second.ok());
    CHECK(count == 0);
  }

  TEST_CASE("a step without logit rows only fills the blocks") {
    const auto m = test::make_random_model({});
    const backend_limits limits = small_limits(2);
    auto b = make_cpu_backend(m, limits);
    REQUIRE(b.ok());
    const auto tokens = random_tokens(50, m->hp.n_vocab);
    const auto blocks = block_range(0, limits);
    const sequence_rows seq{0, 49, 0, blocks};
    const auto none = (*b)->forward({std::span(tokens).first(49), {&seq, 1}, {}});
    REQUIRE(none.ok());
    CHECK(none->empty());
    const sequence_rows next{0, 1, 49, blocks};
    const uint32_t row = 0;
    const auto got = (*b)->forward({std::span(tokens).last(1), {&next, 1}, {&row, 1}});
    REQUIRE(got.ok());
    const auto want = all_logits(m, limits, tokens, 50);
    CHECK(same_bits(*got, std::span(want).last(m->hp.n_vocab)));
  }

  TEST_CASE("limits that cannot be met are errors that say so") {
    const auto m = test::make_random_model({});
    const auto odd = make_cpu_backend(m, small_limits(1, 24));
    REQUIRE(!odd.ok());
    CHECK(odd.error().code == ec::invalid_argument);
    CHECK(odd.error().text.find("24") != std::string::npos);

    backend_limits huge = small_limits();
    huge.num_blocks = UINT32_MAX;
    const auto too_big = make_cpu_backend(m, huge);
    REQUIRE(!too_big.ok());
    CHECK(too_big.error().code == ec::out_of_memory);
    // 2 layers · 2 KV heads · 16 tokens · (64 + 64) halves
    CHECK(too_big.error().text.find(std::to_string(uint64_t{UINT32_MAX} * 16384)) !=
          std::string::npos);

    const test::scoped_cpu set("abacus");
    const auto unknown = make_cpu_backend(m, small_limits());
    REQUIRE(!unknown.ok());
    CHECK(unknown.error().code == ec::invalid_argument);
  }

  TEST_CASE("a bad batch is refused before anything is written") {
    const auto m = test::make_random_model({});
    const backend_limits limits = small_limits();
    auto b = make_cpu_backend(m, limits);
    REQUIRE(b.ok());
    const auto blocks = block_range(0, limits);
    const token_id outside = static_cast<token_id>(m->hp.n_vocab);
    const sequence_rows seq{0, 1, 0, blocks};
    const auto bad = (*b)->forward({{&outside, 1}, {&seq, 1}, {}});
    REQUIRE(!bad.ok());
    CHECK(bad.error().code == ec::invalid_argument);
    const block_id from = 0, to = limits.num_blocks;
    CHECK(!(*b)->copy_blocks({&from, 1}, {&to, 1}).ok());
  }

  TEST_CASE("info names the device, the numerics and the bytes") {
    const auto m = test::make_random_model({});
    auto b = make_cpu_backend(m, small_limits(2));
    REQUIRE(b.ok());
    const backend_info& info = (*b)->info();
    CHECK(info.name == "cpu");
    CHECK(info.device.starts_with("2 threads, "));
    CHECK(info.numerics == "cpu-int8-v2/f16kv");
    CHECK(info.kv_bytes == uint64_t{small_limits().num_blocks} * 16384);
    CHECK(info.weight_bytes > 0);

    auto smaller = make_cpu_backend(m, small_limits(2, 16, kv_type::q8_0));
    REQUIRE(smaller.ok());
    CHECK((*smaller)->info().numerics == "cpu-int8-v2/q8_0kv");
    // 2 layers · 2 KV heads · 2 · 16 tokens · (64 codes + 2 scales)
    CHECK((*smaller)->info().kv_bytes == uint64_t{small_limits().num_blocks} * 8704);
  }
}
