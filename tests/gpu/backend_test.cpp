#include "gpu/backend.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "runtime/backend/reference/reference_backend.hpp"
#include "runtime/sampling/sampler.hpp"
#include "tests/gpu/on_device.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using namespace llmos::test;

namespace {

constexpr backend_limits limits{.max_rows = 128,
                                .max_logits = 128,
                                .max_seqs = 4,
                                .max_context = 160,
                                .num_blocks = 40,
                                .block_tokens = 16,
                                .num_threads = 2};

std::vector<token_id> random_tokens(size_t n, uint32_t n_vocab, uint64_t seed) {
  splitmix64 rng(seed);
  std::vector<token_id> out(n);
  for (token_id& t : out) t = static_cast<token_id>(rng.below(n_vocab));
  return out;
}

std::vector<block_id> blocks_from(block_id first) {
  std::vector<block_id> out(limits.max_context / limits.block_tokens);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Logits of every position of one sequence, computed in chunks of `chunk`.
std::vector<float> logits_of(backend& b, const std::vector<token_id>& tokens, uint32_t chunk,
                             const std::vector<block_id>& blocks = blocks_from(10)) {
  std::vector<float> out;
  for (uint32_t past = 0; past < tokens.size(); past += chunk) {
    const auto n = std::min(chunk, static_cast<uint32_t>(tokens.size()) - past);
    std::vector<uint32_t> rows(n);
    std::iota(rows.begin(), rows.end(), 0u);
    const sequence_rows seq{0, n, past, blocks};
    const auto got = must(b.forward({std::span(tokens).subspan(past, n), {&seq, 1}, rows}));
    out.insert(out.end(), got.begin(), got.end());
  }
  return out;
}

/// Root of the mean square of the difference, relative to that of `want`.
double distance(std::span<const float> got, std::span<const float> want) {
  REQUIRE(got.size() == want.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / size);
}

constexpr double near = 0.02;

}  // namespace

TEST_SUITE("gpu.backend") {
  TEST_CASE("every architecture and tensor type is computed as the reference computes it") {
    if (!stream_or_skip()) return;
    for (const random_model& x : random_models()) {
      if (is_sanitized() && x.shape.seed % 16 != 0) continue;
      CAPTURE(x.name);
      const auto m = make_random_model(x.shape);
      auto cuda = must(gpu::make_cuda_backend(0, m, limits));
      auto reference = must(make_reference_backend(m, limits));
      const auto tokens = random_tokens(12, m->hp.n_vocab, 1);
      const double d = distance(logits_of(*cuda, tokens, 7), logits_of(*reference, tokens, 12));
      CHECK(d < near);
    }
  }

  TEST_CASE("chunks and neighbours change little, other blocks nothing") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 1, .n_ff = 256});
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    auto reference = must(make_reference_backend(m, limits));
    const auto tokens = random_tokens(120, m->hp.n_vocab, 2);
    const auto want = logits_of(*reference, tokens, 120);
    for (const uint32_t chunk : {70u, 120u, 16u, 7u}) {
      if (is_sanitized() && chunk != 70) continue;
      CAPTURE(chunk);
      CHECK(distance(logits_of(*b, tokens, chunk), want) < near);
    }
    // A decode beside a chunk of another sequence.
    const auto whole = logits_of(*b, tokens, 60);
    const auto own = blocks_from(10), others = blocks_from(0);
    const auto beside = random_tokens(30, m->hp.n_vocab, 3);
    std::vector<token_id> both(beside);
    both.push_back(tokens[119]);
    const std::vector<sequence_rows> seqs{{0, 30, 0, others}, {30, 1, 119, own}};
    const std::vector<uint32_t> rows{30};
    const auto got = must(b->forward({both, seqs, rows}));
    CHECK(distance(got, std::span(want).last(m->hp.n_vocab)) < near);
  }

  TEST_CASE("steps of a shape that came before read their own inputs, padded rows nobody's") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 1, .n_ff = 256});
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    const auto n_vocab = m->hp.n_vocab;
    std::vector<std::vector<token_id>> texts;
    std::vector<std::vector<block_id>> blocks;
    std::vector<std::vector<float>> want;
    for (uint32_t i = 0; i < 3; ++i) {
      texts.push_back(random_tokens(24, n_vocab, 10 + i));
      blocks.push_back(blocks_from(10 * i));
      want.push_back(logits_of(*b, texts[i], 24));
    }
    // Three sequences side by side, token by token: four rows each time, one of them padding.
    const uint32_t n_steps = is_sanitized() ? 5 : 24;
    for (uint32_t past = 0; past < n_steps; ++past) {
      std::vector<token_id> tokens;
      std::vector<sequence_rows> seqs;
      for (uint32_t i = 0; i < 3; ++i) {
        tokens.push_back(texts[i][past]);
        seqs.push_back({i, 1, past, blocks[i]});
      }
      const std::vector<uint32_t> rows{0, 1, 2};
      const auto got = must(b->forward({tokens, seqs, rows}));
      REQUIRE(got.size() == 3 * n_vocab);
      for (uint32_t i = 0; i < 3; ++i) {
        CAPTURE(past);
        CAPTURE(i);
        CHECK(distance(got.subspan(i * n_vocab, n_vocab),
                       std::span(want[i]).subspan(past * n_vocab, n_vocab)) < near);
      }
    }
  }

  TEST_CASE("a copied block holds what the first one held") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 2, .n_ff = 256});
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    const auto tokens = random_tokens(33, m->hp.n_vocab, 4);
    const auto want = logits_of(*b, tokens, 32);
    const std::vector<block_id> from{10, 11}, to{30, 31};
    must(b->copy_blocks(from, to));
    const std::vector<block_id> blocks{30, 31, 32};
    const sequence_rows seq{0, 1, 32, blocks};
    const std::vector<uint32_t> rows{0};
    const auto got = must(b->forward({std::span(tokens).last(1), {&seq, 1}, rows}));
    CHECK(std::equal(got.begin(), got.end(), want.end() - m->hp.n_vocab));
    CHECK(b->copy_blocks(from, std::vector<block_id>{40, 0}).error().code == ec::invalid_argument);
  }

  TEST_CASE("blocks go to the host and come back, beside a step") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 2, .n_ff = 256});
    backend_limits with_host = limits;
    with_host.num_host_blocks = 3;
    auto b = must(gpu::make_cuda_backend(0, m, with_host));
    const auto tokens = random_tokens(33, m->hp.n_vocab, 4);
    const auto want = logits_of(*b, tokens, 32);  // in blocks 10, 11, 12
    const std::vector<block_move> out{{10, 40}, {11, 42}}, in{{40, 30}, {42, 31}};
    std::thread mover([&] { must(b->move_blocks(out)); });
    static_cast<void>(logits_of(*b, random_tokens(20, m->hp.n_vocab, 5), 20, blocks_from(20)));
    mover.join();
    static_cast<void>(logits_of(*b, random_tokens(33, m->hp.n_vocab, 6), 33));  // overwrites them
    must(b->move_blocks(in));
    const std::vector<block_id> blocks{30, 31, 32};
    const sequence_rows seq{0, 1, 32, blocks};
    const std::vector<uint32_t> rows{0};
    const auto got = must(b->forward({std::span(tokens).last(1), {&seq, 1}, rows}));
    CHECK(std::equal(got.begin(), got.end(), want.end() - m->hp.n_vocab));
    for (const block_move bad : {block_move{0, 1}, {41, 42}, {0, 43}, {43, 0}}) {
      CHECK(b->move_blocks({&bad, 1}).error().code == ec::invalid_argument);
    }
    CHECK(must(gpu::memory_of_cuda_backend(0, *m, with_host)).host_bytes ==
          3 * (must(gpu::memory_of_cuda_backend(0, *m, limits)).kv_bytes / limits.num_blocks));
  }

  TEST_CASE("tokens chosen on the device are those of its logits") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 1, .n_ff = 256});
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    REQUIRE(b->chooses());
    const auto tokens = random_tokens(9, m->hp.n_vocab, 5);
    const auto logits = logits_of(*b, tokens, 9);
    const auto blocks = blocks_from(10);
    const sequence_rows seq{0, 9, 0, blocks};
    const std::vector<uint32_t> rows{2, 8};
    const auto got =
        must(b->forward_and_choose({tokens, {&seq, 1}, rows}, {std::vector<token_choice>(2), {}}));
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = std::span(logits).subspan(rows[i] * m->hp.n_vocab, m->hp.n_vocab);
      CHECK(got[i] == std::max_element(row.begin(), row.end()) - row.begin());
    }
  }

  TEST_CASE(
      "what penalties and biases leave is chosen on the device, whether it runs ahead or not") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 1, .n_ff = 256});
    const uint32_t n_vocab = m->hp.n_vocab;
    const auto blocks = blocks_from(0);
    const std::vector<uint32_t> rows{0};
    const token_id first = random_tokens(1, n_vocab, 8)[0];
    constexpr uint32_t n_steps = 9;
    sampler by({.temperature = 0, .repetition_penalty = 3, .penalty_window = 4}, {}, n_vocab);
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    const auto seq_at = [&](uint32_t past) { return sequence_rows{0, 1, past, blocks}; };
    std::vector<token_id> want{first}, got{first}, plain{first};
    for (uint32_t past = 0; past < n_steps; ++past) {
      const auto seq = seq_at(past);
      const auto logits = must(b->forward({std::span(want).last(1), {&seq, 1}, rows}));
      want.push_back(by.sample(logits, want, past).id);
    }
    for (uint32_t past = 0; past < n_steps; ++past) {
      const auto seq = seq_at(past);
      const std::vector<token_choice> greedy(1);
      plain.push_back(must(
          b->forward_and_choose({std::span(plain).last(1), {&seq, 1}, rows}, {greedy, {}}))[0]);
    }
    for (uint32_t past = 0; past < n_steps; ++past) {  // each begins before the last was read
      const auto seq = seq_at(past);
      const token_id pending = past == 0 ? 0 : -1;
      const std::vector<token_id> token{past == 0 ? first : pending};
      std::vector<token_adjustment> adjustments;
      const std::vector<token_choice> choice{by.choice(got, past, pending, adjustments)};
      must(b->begin({token, {&seq, 1}, rows}, {choice, adjustments}));
      if (past == 0) continue;
      b->wait();
      got.push_back(must(b->finish())[0]);
    }
    b->wait();
    got.push_back(must(b->finish())[0]);
    CHECK(got == want);
    CHECK(got != plain);
    std::vector<token_choice> bad{{.num_adjustments = 1}};
    const auto seq = seq_at(0);
    CHECK(b->begin({{&first, 1}, {&seq, 1}, rows}, {bad, {}}).error().code == ec::invalid_argument);
  }

  TEST_CASE("a step begins with what the one before chooses, before anybody has read it") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({.n_layers = 1, .n_ff = 256});
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    REQUIRE(b->runs_ahead());
    const std::vector<std::vector<block_id>> blocks{blocks_from(0), blocks_from(10),
                                                    blocks_from(20)};
    const std::vector<uint32_t> rows{0, 1, 2};
    const std::vector<token_choice> greedy(3);
    const auto seqs_at = [&](uint32_t past) {
      std::vector<sequence_rows> out;
      for (uint32_t i = 0; i < 3; ++i) out.push_back({i, 1, past, blocks[i]});
      return out;
    };
    const std::vector<token_id> first = random_tokens(3, m->hp.n_vocab, 6);
    constexpr uint32_t n_steps = 7;
    std::vector<std::vector<token_id>> want, got;
    std::vector<token_id> tokens = first;
    for (uint32_t past = 0; past < n_steps; ++past) {
      const auto chosen = must(b->forward_and_choose({tokens, seqs_at(past), rows}, {greedy, {}}));
      tokens.assign(chosen.begin(), chosen.end());
      want.push_back(tokens);
    }
    const auto take = [&] {
      const auto chosen = must(b->finish());
      got.emplace_back(chosen.begin(), chosen.end());
    };
    must(b->begin({first, seqs_at(0), rows}, {greedy, {}}));
    for (uint32_t past = 1; past < n_steps; ++past) {
      std::thread watcher([&] { b->wait(); });
      const std::vector<token_id> pending{-1, -2, -3};
      must(b->begin({pending, seqs_at(past), rows}, {greedy, {}}));
      watcher.join();
      take();
    }
    b->wait();
    take();
    CHECK(got == want);
    const std::vector<token_id> nobody{-1, -2, -3};
    CHECK(b->begin({nobody, seqs_at(7), rows}, {greedy, {}}).error().code == ec::invalid_argument);
    must(b->begin({first, seqs_at(7), rows}, {greedy, {}}));  // and goes while that runs
  }

  TEST_CASE("what it needs is known before, and what it cannot do is said") {
    if (!stream_or_skip()) return;
    const auto m = make_random_model({});
    const auto need = must(gpu::memory_of_cuda_backend(0, *m, limits));
    auto b = must(gpu::make_cuda_backend(0, m, limits));
    CHECK(need.weight_bytes == b->info().weight_bytes);
    CHECK(need.kv_bytes == b->info().kv_bytes);
    backend_limits l = limits;
    l.kv = kv_type::q8_0;
    CHECK(gpu::make_cuda_backend(0, m, l).error().code == ec::unsupported);
    l = limits;
    l.num_blocks = UINT32_MAX;
    CHECK(gpu::make_cuda_backend(0, m, l).error().code == ec::out_of_memory);
    CHECK(gpu::make_cuda_backend(gpu::device_count(), m, limits).error().code == ec::not_found);
  }
}
