#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/splitmix64.hpp"

// What every backend promises, whatever it computes with: logits that depend on a sequence's
// tokens alone, to the bit, and errors that leave everything as it was.

using namespace llmos;

namespace {

constexpr uint32_t block_tokens = 16;
constexpr uint32_t context = 320;  // longer than the 256 keys that attention may take at once
constexpr uint32_t context_blocks = context / block_tokens;
constexpr backend_limits limits{.max_rows = 384,
                                .max_logits = 320,
                                .max_seqs = 6,
                                .max_context = context,
                                .num_blocks = 6 * context_blocks,
                                .block_tokens = block_tokens,
                                .num_threads = 2};

std::shared_ptr<const model> small_model() {
  static const auto m = test::make_random_model({.n_ff = 256, .tied = false});
  return m;
}

std::vector<token_id> random_tokens(size_t n, uint64_t seed) {
  test::splitmix64 rng(seed);
  std::vector<token_id> out(n);
  for (token_id& t : out) t = static_cast<token_id>(rng.below(small_model()->hp.n_vocab));
  return out;
}

/// `n` blocks counted up from `first`.
std::vector<block_id> blocks_from(block_id first, size_t n = context_blocks) {
  std::vector<block_id> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// A sequence on its way through a backend: its tokens, its blocks, how far it is, and the logits
/// of every position so far.
struct sequence {
  std::vector<token_id> tokens;
  std::vector<block_id> blocks;
  uint32_t num_past = 0;
  std::vector<float> logits = {};

  uint32_t num_left() const { return static_cast<uint32_t>(tokens.size()) - num_past; }
};

/// What one step takes of a sequence.
struct share {
  sequence* seq;
  uint32_t num_rows;
};

/// One step with the logits of every row, appended to each sequence's own.
void step(backend& b, const std::vector<share>& shares) {
  std::vector<token_id> tokens;
  std::vector<sequence_rows> seqs;
  for (const share& s : shares) {
    const auto from = s.seq->tokens.begin() + s.seq->num_past;
    seqs.push_back({.first_row = static_cast<uint32_t>(tokens.size()),
                    .num_rows = s.num_rows,
                    .num_past = s.seq->num_past,
                    .blocks = s.seq->blocks});
    tokens.insert(tokens.end(), from, from + s.num_rows);
  }
  std::vector<uint32_t> rows(tokens.size());
  std::iota(rows.begin(), rows.end(), 0u);
  const auto made = b.forward({tokens, seqs, rows});
  REQUIRE_MESSAGE(made.ok(), to_string(made.ok() ? failure{} : made.error()));
  const size_t n_vocab = made->size() / tokens.size();
  for (size_t i = 0; i < shares.size(); ++i) {
    const auto own = made->subspan(seqs[i].first_row * n_vocab, seqs[i].num_rows * n_vocab);
    shares[i].seq->logits.insert(shares[i].seq->logits.end(), own.begin(), own.end());
    shares[i].seq->num_past += shares[i].num_rows;
  }
}

void finish(backend& b, sequence& s, uint32_t chunk) {
  while (s.num_left() > 0) step(b, {{&s, std::min(chunk, s.num_left())}});
}

/// The logits of a sequence run alone in one piece.
std::vector<float> alone(backend& b, const std::vector<token_id>& tokens) {
  sequence s{tokens, blocks_from(0)};
  finish(b, s, static_cast<uint32_t>(tokens.size()));
  return s.logits;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

enum class length : uint8_t { is_short, is_long };

/// Runs `body` for each backend of this machine with each KV type.
template <class F>
void for_each_backend(length of_case, const F& body) {
  for (const std::string& name : backend_names()) {
    CAPTURE(name);
    std::string f16_numerics;
    for (const kv_type kv : {kv_type::f16, kv_type::q8_0}) {
      // Elsewhere than on the CPU a long case takes half a minute there.
      const bool is_reference = name == "reference" && kv == kv_type::f16;
      const bool is_slow = name != "cpu" && (!is_reference || of_case == length::is_long);
      if (test::is_sanitized() && is_slow) continue;
      CAPTURE(name_of(kv));
      backend_limits l = limits;
      l.kv = kv;
      const auto b = make_backend(name, small_model(), l).value();
      CHECK(b->info().name == name);
      CHECK(b->limits().kv == kv);
      CHECK_FALSE(b->info().numerics.empty());
      CHECK(b->info().numerics != f16_numerics);
      f16_numerics = b->info().numerics;
      body(*b);
    }
  }
}

}  // namespace

TEST_SUITE("runtime.backend.conformance") {
  TEST_CASE("the size of prefill chunks does not change a bit") {
    const auto tokens = random_tokens(300, 1);
    for_each_backend(length::is_long, [&](backend& b) {
      const auto want = alone(b, tokens);
      for (const uint32_t chunk : {1u, 7u, 64u, 255u}) {
        CAPTURE(chunk);
        sequence s{tokens, blocks_from(0)};
        finish(b, s, chunk);
        CHECK(same_bits(s.logits, want));
      }
    });
  }

  TEST_CASE("neighbours in the batch do not change a bit") {
    const auto tokens = random_tokens(280, 2);
    for_each_backend(length::is_long, [&](backend& b) {
      const auto want = alone(b, tokens);
      sequence s{tokens, blocks_from(3 * context_blocks)};
      sequence before{random_tokens(300, 3), blocks_from(0)};
      sequence after{random_tokens(299, 4), blocks_from(5 * context_blocks)};
      // Decodes and chunks of changing size on both sides.
      for (uint32_t i = 0; s.num_left() > 0; ++i) {
        const uint32_t n = std::min(s.num_left(), i % 3 == 0 ? 1 : 20 + i);
        std::vector<share> shares;
        if (before.num_left() > 0)
          shares.push_back({&before, std::min(before.num_left(), 1 + i * 9)});
        shares.push_back({&s, n});
        if (after.num_left() > 0)
          shares.push_back({&after, std::min(after.num_left(), 1 + i % 2 * 30)});
        step(b, shares);
      }
      CHECK(same_bits(s.logits, want));
    });
  }

  TEST_CASE("the place and the past of blocks do not change a bit") {
    const auto tokens = random_tokens(300, 5);
    for_each_backend(length::is_long, [&](backend& b) {
      const auto want = alone(b, tokens);
      auto blocks = blocks_from(0, limits.num_blocks);
      test::splitmix64 rng(6);
      for (int i = 0; i < 5; ++i) {
        for (size_t k = blocks.size(); k > 1; --k) std::swap(blocks[k - 1], blocks[rng.below(k)]);
        sequence s{tokens, {blocks.begin(), blocks.begin() + context_blocks}};
        finish(b, s, 100);
        CHECK(same_bits(s.logits, want));
      }
    });
  }

  TEST_CASE("a prefix that others computed and share does not change a bit") {
    constexpr uint32_t n_shared = 17 * block_tokens;
    const auto prefix = random_tokens(n_shared, 7);
    for_each_backend(length::is_long, [&](backend& b) {
      sequence first{prefix, blocks_from(0)};
      finish(b, first, 50);
      std::vector<sequence> tails;
      std::vector<share> shares;
      for (uint32_t i = 0; i < 4; ++i) {
        sequence s{prefix, blocks_from(0, 17), n_shared};
        for (const token_id t : random_tokens(20 + i, 8 + i)) s.tokens.push_back(t);
        for (const block_id id : blocks_from(20 + 3 * i, 3)) s.blocks.push_back(id);
        tails.push_back(std::move(s));
      }
      for (sequence& s : tails) shares.push_back({&s, s.num_left() - 3});
      step(b, shares);
      for (share& s : shares) s.num_rows = 1;
      while (tails.front().num_left() > 0) step(b, shares);
      for (const sequence& s : tails) {
        const auto want = alone(b, s.tokens);
        CHECK(same_bits(s.logits, std::span(want).last(s.logits.size())));
      }
    });
  }

  TEST_CASE("a copied block is the same for reading and another for writing") {
    const auto tokens = random_tokens(40, 12);
    auto other_end = tokens;
    for (size_t i = 36; i < other_end.size(); ++i) other_end[i] = (other_end[i] + 1) % 300;
    for_each_backend(length::is_short, [&](backend& b) {
      const auto want = alone(b, tokens);
      const auto want_other = alone(b, other_end);
      sequence s{tokens, blocks_from(0)};
      while (s.num_past < 36) step(b, {{&s, 36}});
      // The third block holds positions 32 to 35; the fork gets its own and writes on in it.
      const block_id from[] = {2, 2};
      const block_id to[] = {50, 51};
      REQUIRE(b.copy_blocks(from, to).ok());
      sequence fork{other_end, {0, 1, 50}, 36};
      sequence twin{tokens, {0, 1, 51}, 36};
      step(b, {{&fork, 4}, {&s, 4}, {&twin, 4}});
      const auto tail = std::span(want).last(fork.logits.size());
      CHECK(same_bits(s.logits, want));
      CHECK(same_bits(twin.logits, tail));
      CHECK(same_bits(fork.logits, std::span(want_other).last(fork.logits.size())));
      CHECK_FALSE(same_bits(fork.logits, tail));
    });
  }

  TEST_CASE("logits of chosen rows are those rows of all") {
    const auto tokens = random_tokens(50, 13);
    for_each_backend(length::is_short, [&](backend& b) {
      const auto want = alone(b, tokens);
      const size_t n_vocab = want.size() / tokens.size();
      const auto blocks = blocks_from(0);
      const sequence_rows seq{.num_rows = 50, .blocks = blocks};
      for (const std::vector<uint32_t>& rows :
           {std::vector<uint32_t>{}, {0}, {49}, {3, 4, 17, 48}}) {
        const auto got = b.forward({tokens, {&seq, 1}, rows}).value();
        REQUIRE(got.size() == rows.size() * n_vocab);
        for (size_t i = 0; i < rows.size(); ++i) {
          CHECK(same_bits(got.subspan(i * n_vocab, n_vocab),
                          std::span(want).subspan(rows[i] * n_vocab, n_vocab)));
        }
      }
    });
  }

  TEST_CASE("a context is used to its last position and no further") {
    const auto tokens = random_tokens(context + 1, 14);
    for_each_backend(length::is_long, [&](backend& b) {
      sequence s{tokens, blocks_from(0, context_blocks + 1)};
      step(b, {{&s, context}});
      const sequence_rows next{.num_rows = 1, .num_past = context, .blocks = s.blocks};
      const auto beyond = b.forward({std::span(tokens).last(1), {&next, 1}, {}});
      REQUIRE_FALSE(beyond.ok());
      CHECK(beyond.error().code == ec::invalid_argument);
      CHECK(beyond.error().text.find("321, the limit is 320") != std::string::npos);
    });
  }

  TEST_CASE("a refused step or copy leaves the pool as it was") {
    const auto tokens = random_tokens(40, 15);
    for_each_backend(length::is_short, [&](backend& b) {
      const auto want = alone(b, tokens);
      sequence s{tokens, blocks_from(0)};
      step(b, {{&s, 30}});
      const token_id bad_tokens[] = {0, 300};
      const sequence_rows seq{.num_rows = 2, .num_past = 0, .blocks = s.blocks};
      CHECK_FALSE(b.forward({bad_tokens, {&seq, 1}, {}}).ok());
      const block_id from[] = {5, limits.num_blocks};
      const block_id to[] = {0, 1};
      CHECK_FALSE(b.copy_blocks(from, to).ok());
      CHECK_FALSE(b.copy_blocks(from, std::span(to).first(1)).ok());
      finish(b, s, 4);
      CHECK(same_bits(s.logits, want));
    });
  }

  TEST_CASE("random mixes of arriving, forked and preempted sequences do not change a bit") {
    for_each_backend(length::is_long, [&](backend& b) {
      const bool is_f16 = b.limits().kv == kv_type::f16;
      const int most = b.info().name != "cpu" ? (is_f16 ? 20 : 5) : 200;
      const int n_mixes = test::is_sanitized() ? std::max(1, most / 10) : most;
      for (int mix = 0; mix < n_mixes; ++mix) {
        CAPTURE(mix);
        test::splitmix64 rng(1000 + static_cast<uint64_t>(mix));
        std::vector<sequence> seqs;
        for (uint32_t i = 0; i < 2 + rng.below(4); ++i) {
          seqs.push_back(
              {random_tokens(1 + rng.below(150), rng.next()), blocks_from(i * context_blocks)});
        }
        for (bool any = true; any;) {
          std::vector<share> shares;
          for (sequence& s : seqs) {
            if (rng.below(40) == 0) s.num_past = 0, s.logits.clear();  // preempted: starts again
            const auto n = static_cast<uint32_t>(rng.below(2) ? 1 : rng.below(60));
            if (s.num_left() > 0 && n > 0) shares.push_back({&s, std::min(n, s.num_left())});
          }
          if (!shares.empty()) step(b, shares);
          any = std::any_of(seqs.begin(), seqs.end(), [](auto& s) { return s.num_left() > 0; });
        }
        for (const sequence& s : seqs) CHECK(same_bits(s.logits, alone(b, s.tokens)));
      }
    });
  }

  TEST_CASE("unknown names and empty limits are refused") {
    const auto unknown = make_backend("abacus", small_model(), limits);
    REQUIRE_FALSE(unknown.ok());
    CHECK(unknown.error().code == ec::invalid_argument);
    for (const std::string& name : backend_names()) {
      CHECK(unknown.error().hint.find(name) != std::string::npos);
    }
    for_each_backend(length::is_short, [](backend& b) {
      backend_limits none = limits;
      none.num_blocks = 0;
      const auto made = make_backend(b.info().name, small_model(), none);
      REQUIRE_FALSE(made.ok());
      CHECK(made.error().code == ec::invalid_argument);
      CHECK(made.error().text == "backend limit 'num_blocks' is 0");
    });
  }

  TEST_CASE("the memory of a backend is known before it is made") {
    for_each_backend(length::is_short, [](backend& b) {
      const auto need = memory_of_backend(b.info().name, *small_model(), b.limits()).value();
      CHECK(need.kv_bytes == b.info().kv_bytes);
      CHECK(need.weight_bytes >= b.info().weight_bytes);
      CHECK(need.scratch_bytes >= limits.max_logits * small_model()->hp.n_vocab * sizeof(float));
      backend_limits none = b.limits();
      none.max_rows = 0;
      CHECK(memory_of_backend(b.info().name, *small_model(), none).error().code ==
            ec::invalid_argument);
    });
    CHECK(memory_of_backend("abacus", *small_model(), limits).error().code == ec::invalid_argument);
  }

  TEST_CASE("more memory than the machine has is an error with the bytes") {
    for_each_backend(length::is_short, [](backend& b) {
      backend_limits huge = limits;
      huge.num_blocks = UINT32_MAX;
      const auto made = make_backend(b.info().name, small_model(), huge);
      REQUIRE_FALSE(made.ok());
      CHECK(made.error().code == ec::out_of_memory);
      CHECK(made.error().text.find_first_of("0123456789") != std::string::npos);
    });
  }
}
