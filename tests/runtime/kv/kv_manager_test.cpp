#include "runtime/kv/kv_manager.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

#include "tests/runtime/kv/naive_kv.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using tokens = std::vector<token_id>;
using blocks = std::vector<block_id>;

namespace {

tokens range(token_id first, size_t n) {
  tokens out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

tokens operator+(tokens a, const tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Blocks for all of `text`, cached ones first; sealed.
blocks prefill(kv_manager& kv, std::string_view tenant, const tokens& text) {
  blocks out = kv.match(tenant, text).blocks;
  const auto need =
      static_cast<uint32_t>((text.size() + kv.block_tokens() - 1) / kv.block_tokens());
  const blocks fresh = kv.take(need - static_cast<uint32_t>(out.size())).value();
  out.insert(out.end(), fresh.begin(), fresh.end());
  kv.seal(tenant, text, out);
  kv.check_invariants();
  return out;
}

uint32_t num_cached_tokens(kv_manager& kv, std::string_view tenant, const tokens& text) {
  const prefix_match m = kv.match(tenant, text);
  CHECK(kv.release(m.blocks).ok());
  return m.num_tokens;
}

}  // namespace

TEST_SUITE("runtime.kv.kv_manager") {
  TEST_CASE("a pool of 100 gives 60 and 40, refuses one more and takes back no more than it gave") {
    kv_manager kv{100, 16, "m"};
    const blocks first = kv.take(60).value();
    const blocks second = kv.take(40).value();
    const auto third = kv.take(1);
    REQUIRE(!third.ok());
    CHECK(third.error().code == ec::out_of_memory);
    CHECK(third.error().text == "asked for 1 KV blocks, 0 free and 0 cached of 100");
    CHECK(kv.stats().num_used == 100);
    CHECK(kv.take_up_to(5).empty());
    CHECK(kv.release(second).ok());
    CHECK(kv.stats().num_used == 60);
    CHECK(kv.release(second).error().code == ec::invalid_argument);
    CHECK(kv.release(blocks{100}).error().code == ec::invalid_argument);
    CHECK(kv.release(blocks{first[0], first[0]}).error().code == ec::invalid_argument);
    CHECK(kv.stats().num_used == 60);
    CHECK(kv.take_up_to(50).size() == 40);
  }

  TEST_CASE("32 requests with a common prefix of 1,000 tokens hold one prefix and 32 tails") {
    constexpr uint32_t block_tokens = 16;
    const tokens common = range(0, 1000);
    kv_manager kv{512, block_tokens, "m"};
    std::vector<blocks> held;
    for (int i = 0; i < 32; ++i) {
      held.push_back(prefill(kv, "ann", common + range(5000 + 100 * i, 50)));
    }
    // 1,000 tokens are 62 whole blocks; the 8 left over and 50 more are 4 blocks of one's own.
    CHECK(kv.stats().num_used == 62 + 32 * 4);
    CHECK(kv.stats().prefix_hit_tokens == 31 * 62 * block_tokens);
    CHECK(kv.stats().prefix_queries_tokens == 32 * 1050);

    for (const blocks& b : held) CHECK(kv.release(b).ok());
    CHECK(kv.stats().num_used == 0);
    CHECK(kv.stats().num_cached == 62 + 32 * 3);
    CHECK(kv.stats().num_cached + kv.stats().num_free == 512);
    kv.drop_cache();
    CHECK(kv.stats().num_free == 512);
    kv.check_invariants();
  }

  TEST_CASE("a match is whole blocks and leaves at least one token to compute") {
    kv_manager kv{16, 4, "m"};
    const tokens text = range(0, 12);
    const blocks held = prefill(kv, "ann", text);
    CHECK(num_cached_tokens(kv, "ann", {}) == 0);
    CHECK(num_cached_tokens(kv, "ann", range(0, 4)) == 0);
    CHECK(num_cached_tokens(kv, "ann", range(0, 5)) == 4);
    CHECK(num_cached_tokens(kv, "ann", range(0, 11)) == 8);
    CHECK(num_cached_tokens(kv, "ann", range(0, 12)) == 8);
    CHECK(num_cached_tokens(kv, "ann", range(0, 13)) == 12);
    CHECK(num_cached_tokens(kv, "ann", range(0, 4) + range(50, 4) + range(8, 4)) == 4);
    CHECK(num_cached_tokens(kv, "ann", range(1, 12)) == 0);
  }

  TEST_CASE("tenants never share") {
    kv_manager kv{16, 4, "m"};
    const blocks held = prefill(kv, "ann", range(0, 9));
    CHECK(num_cached_tokens(kv, "bob", range(0, 9)) == 0);
    const blocks other = prefill(kv, "bob", range(0, 9));
    CHECK(kv.stats().num_used == 6);
    CHECK(kv.match("ann", range(0, 9)).blocks == blocks{held[0], held[1]});
    CHECK(kv.match("bob", range(0, 9)).blocks == blocks{other[0], other[1]});
  }

  TEST_CASE("a prefix computed twice at once is indexed once, and both owners go on below it") {
    kv_manager kv{16, 4, "m"};
    const blocks a = kv.take(2).value();
    const blocks b = kv.take(2).value();
    kv.seal("ann", range(0, 8), a);
    kv.seal("ann", range(0, 4) + range(70, 4), b);  // b[0] is a's twin, b[1] hangs below a[0]
    kv.check_invariants();
    CHECK(kv.match("ann", range(0, 4) + range(70, 5)).blocks == blocks{a[0], b[1]});
    CHECK(kv.release(blocks{a[0], b[1]}).ok());

    CHECK(kv.release(b).ok());
    CHECK(kv.stats().num_cached == 1);
    CHECK(kv.stats().num_used == 2);
    CHECK(kv.release(a).ok());
    CHECK(kv.stats().num_cached == 3);
    kv.check_invariants();
  }

  TEST_CASE("a cached block above one in use can still be evicted and the owner indexes it anew") {
    kv_manager kv{4, 4, "m"};
    const blocks a = kv.take(1).value();
    const blocks b = kv.take(2).value();
    kv.seal("ann", range(0, 4), a);
    kv.seal("ann", range(0, 8), b);
    CHECK(kv.release(a).ok());  // cached, with b[1] in use below it
    const blocks rest = kv.take(2).value();
    CHECK(kv.stats().num_used == 4);
    CHECK(kv.stats().evictions == 1);
    kv.check_invariants();
    CHECK(num_cached_tokens(kv, "ann", range(0, 9)) == 0);
    kv.seal("ann", range(0, 8), b);
    CHECK(num_cached_tokens(kv, "ann", range(0, 9)) == 8);
    kv.check_invariants();
  }

  TEST_CASE("of cached blocks above one in use only the deepest is evicted for one block") {
    kv_manager kv{6, 4, "m"};
    const blocks a = kv.take(2).value();
    const blocks b = kv.take(3).value();
    kv.seal("ann", range(0, 8), a);
    kv.seal("ann", range(0, 12), b);
    CHECK(kv.release(a).ok());
    CHECK(kv.take(2).ok());
    CHECK(kv.stats().evictions == 1);
    CHECK(num_cached_tokens(kv, "ann", range(0, 13)) == 4);
    kv.check_invariants();
  }

  TEST_CASE("the chain released first is evicted first, from its tail") {
    kv_manager kv{6, 4, "m"};
    const blocks old = prefill(kv, "ann", range(0, 12));
    const blocks young = prefill(kv, "ann", range(100, 12));
    CHECK(kv.release(old).ok());
    CHECK(kv.release(young).ok());
    struct row {
      uint32_t taken, old_left, young_left;
    };
    for (const row& r : {row{1, 8, 12}, row{2, 4, 12}, row{3, 0, 12}, row{4, 0, 8}, row{6, 0, 0}}) {
      CAPTURE(r.taken);
      kv_manager copy = kv;
      CHECK(copy.take(r.taken).ok());
      CHECK(copy.stats().evictions == r.taken);
      CHECK(num_cached_tokens(copy, "ann", range(0, 13)) == r.old_left);
      CHECK(num_cached_tokens(copy, "ann", range(100, 13)) == r.young_left);
      copy.check_invariants();
    }
    CHECK(num_cached_tokens(kv, "ann", range(0, 13)) == 12);  // used again: now the younger
    CHECK(kv.take(3).ok());
    CHECK(num_cached_tokens(kv, "ann", range(0, 13)) == 12);
    CHECK(num_cached_tokens(kv, "ann", range(100, 13)) == 0);
  }

  TEST_CASE("free blocks are taken before cached ones are evicted") {
    kv_manager kv{4, 4, "m"};
    CHECK(kv.release(prefill(kv, "ann", range(0, 8))).ok());
    CHECK(kv.take(2).ok());
    CHECK(kv.stats().evictions == 0);
    CHECK(kv.take(3).error().text == "asked for 3 KV blocks, 0 free and 2 cached of 4");
    CHECK(kv.stats().num_cached == 2);
    CHECK(kv.take_up_to(3).size() == 2);
  }

  TEST_CASE("a block is written in place only by its sole holder before it is sealed") {
    kv_manager kv{4, 4, "m"};
    const blocks b = kv.take(1).value();
    CHECK(kv.writable(b[0]).value() == b[0]);
    CHECK(kv.retain(b).ok());
    const block_id copy = kv.writable(b[0]).value();
    CHECK(copy != b[0]);
    CHECK(kv.release(b).ok());
    CHECK(kv.writable(b[0]).value() == b[0]);
    kv.seal("ann", range(0, 4), b);
    CHECK(kv.writable(b[0]).value() != b[0]);
    CHECK(kv.take(1).ok());
    CHECK(kv.writable(b[0]).error().code == ec::out_of_memory);
    CHECK(kv.release(b).ok());
    CHECK(kv.retain(b).error().code == ec::invalid_argument);
    CHECK(kv.retain(blocks{4}).error().code == ec::invalid_argument);
    kv.check_invariants();
  }
}

namespace {

struct sequence {
  std::string tenant;
  tokens text;
  blocks held;
};

/// Drives manager and model through the same random life and compares them after every step.
class random_life {
public:
  random_life(uint32_t seed, uint32_t hash_bits)
      : rng_(seed), kv_(num_blocks, block_tokens, "m", hash_bits) {}

  void step() {
    switch (rng_() % 10) {
      case 0:
      case 1:
      case 2: start(); break;
      case 3:
      case 4:
      case 5: grow(); break;
      case 6: fork(); break;
      case 7:
      case 8: end(); break;
      default: rng_() % 20 == 0 ? drop() : give_back_too_much();
    }
    compare();
  }

  void end_all() {
    while (!live_.empty()) end();
    CHECK(kv_.stats().num_used == 0);
    CHECK(kv_.stats().num_cached + kv_.stats().num_free == num_blocks);
    drop();
    CHECK(kv_.stats().num_free == num_blocks);
    compare();
  }

  uint64_t num_evictions() const { return kv_.stats().evictions; }
  uint64_t num_hits() const { return kv_.stats().prefix_hit_tokens; }

private:
  static constexpr uint32_t num_blocks = 24;
  static constexpr uint32_t block_tokens = 2;

  // Two tokens and two tenants: prefixes are shared, split and computed twice all the time.
  tokens random_text() {
    tokens out(1 + rng_() % 14);
    for (token_id& t : out) t = static_cast<token_id>(rng_() % 2);
    return out;
  }

  bool take_into(blocks& held, uint32_t n) {
    const bool room = model_.make_room(n);
    const auto got = kv_.take(n);
    REQUIRE(got.ok() == room);
    if (!room) return false;
    REQUIRE(model_.hand_out(*got));
    held.insert(held.end(), got->begin(), got->end());
    return true;
  }

  void start() {
    sequence s{rng_() % 2 ? "ann" : "bob", random_text(), {}};
    if (rng_() % 3) {  // some come without asking the cache, as if another were computing it too
      s.held = kv_.match(s.tenant, s.text).blocks;
      REQUIRE(s.held == model_.match(s.tenant, s.text));
    }
    const size_t need = (s.text.size() + block_tokens - 1) / block_tokens;
    const bool fits = take_into(s.held, static_cast<uint32_t>(need - s.held.size()));
    if (fits && rng_() % 4) seal(s);
    if (fits) {
      live_.push_back(s);
    } else {
      release(s.held);
    }
  }

  void grow() {
    if (live_.empty()) return;
    sequence& s = live_[rng_() % live_.size()];
    for (size_t i = rng_() % 4; i > 0; --i) {
      if (s.text.size() % block_tokens == 0 && !take_into(s.held, 1)) break;
      s.text.push_back(static_cast<token_id>(rng_() % 2));
    }
    seal(s);
  }

  void fork() {
    if (live_.empty()) return;
    sequence s = live_[rng_() % live_.size()];
    s.text.resize(s.text.size() / block_tokens * block_tokens);
    s.held.resize(s.text.size() / block_tokens);
    REQUIRE(kv_.retain(s.held).ok());
    model_.retain(s.held);
    live_.push_back(s);
  }

  void end() {
    if (live_.empty()) return;
    std::swap(live_[rng_() % live_.size()], live_.back());
    if (rng_() % 2) std::shuffle(live_.back().held.begin(), live_.back().held.end(), rng_);
    release(live_.back().held);
    live_.pop_back();
  }

  void drop() {
    kv_.drop_cache();
    model_.drop_cache();
  }

  void give_back_too_much() {
    const auto b = static_cast<block_id>(rng_() % num_blocks);
    REQUIRE(!kv_.release(blocks(model_.holders(b) + 1, b)).ok());
  }

  void seal(const sequence& s) {
    kv_.seal(s.tenant, s.text, s.held);
    model_.seal(s.tenant, s.text, s.held);
  }

  void release(const blocks& held) {
    REQUIRE(kv_.release(held).ok());
    model_.release(held);
  }

  void compare() {
    kv_.check_invariants();
    const kv_stats s = kv_.stats();
    REQUIRE(s.num_used == model_.num_used());
    REQUIRE(s.num_cached == model_.num_cached());
    REQUIRE(s.num_free == model_.num_free());
    for (block_id b = 0; b < num_blocks; ++b) REQUIRE(kv_.num_holders(b) == model_.holders(b));
  }

  std::mt19937 rng_;
  kv_manager kv_;
  test::naive_kv model_{num_blocks, block_tokens};
  std::vector<sequence> live_;
};

}  // namespace

TEST_SUITE("runtime.kv.kv_manager") {
  TEST_CASE("after each of 10,000 random operations manager and naive model agree") {
    for (uint32_t hash_bits : {64u, 4u}) {
      CAPTURE(hash_bits);
      random_life life{hash_bits, hash_bits};
      for (int i = 0; i < test::scaled(10000); ++i) life.step();
      life.end_all();
      CHECK(life.num_evictions() > 10);
      CHECK(life.num_hits() > 100);
    }
  }
}

namespace {

/// A manager with blocks of the host, and what every block holds: the text up to its end.
struct content {
  static constexpr uint32_t block_tokens = 2;

  content(uint32_t num_blocks, uint32_t num_host_blocks)
      : kv(num_blocks, block_tokens, "m", 64, num_host_blocks),
        cells(num_blocks + num_host_blocks) {}

  void move() {
    for (const auto& m : kv.take_moves()) cells.at(m.to) = cells.at(m.from);
  }
  /// Blocks for all of the text, checked and filled; nothing when there is no room.
  std::optional<blocks> start(std::string_view tenant, const tokens& text) {
    const auto n = static_cast<uint32_t>((text.size() + block_tokens - 1) / block_tokens);
    auto got = kv.reserve(tenant, text, n);
    kv.check_invariants();
    if (!got) {
      CHECK(kv.take_moves().empty());
      return std::nullopt;
    }
    move();
    REQUIRE(got->blocks.size() == n);
    for (uint32_t i = 0; i < n; ++i) {
      auto& cell = cells.at(got->blocks[i]);
      const tokens want(text.begin(), text.begin() + std::min<ptrdiff_t>(text.size(), 2 * i + 2));
      if (i < got->num_tokens / block_tokens) REQUIRE(cell == std::pair(std::string(tenant), want));
      cell = {std::string(tenant), want};
    }
    num_cached = got->num_tokens;
    kv.seal(tenant, text, got->blocks);
    kv.check_invariants();
    return got->blocks;
  }
  void end(const blocks& held) {
    REQUIRE(kv.release(held).ok());
    kv.check_invariants();
  }

  kv_manager kv;
  std::vector<std::pair<std::string, tokens>> cells;
  uint32_t num_cached = 0;  ///< Of the last start().
};

}  // namespace

TEST_SUITE("runtime.kv.kv_manager") {
  TEST_CASE("what is evicted goes to the host and comes back") {
    content c{4, 8};
    c.end(*c.start("ann", range(0, 6)));   // blocks of 0, 1, 2
    c.end(*c.start("bob", range(50, 8)));  // takes all four
    CHECK(c.kv.stats().num_host_cached == 3);
    CHECK(c.kv.stats().moved_out == 3);
    c.end(*c.start("ann", range(0, 7)));
    CHECK(c.num_cached == 6);
    CHECK(c.kv.stats().moved_in == 3);
    CHECK(c.kv.match("bob", range(50, 8)).num_tokens == 0);
    const auto again = c.start("bob", range(50, 8));
    CHECK(c.num_cached == 6);  // all but the block that must be computed
    CHECK(c.kv.stats().prefix_hit_tokens == 6 + 6);
    c.end(*again);
  }

  TEST_CASE("a full host forgets what it has had longest") {
    content c{4, 2};
    c.end(*c.start("ann", range(0, 6)));
    c.end(*c.start("bob", range(50, 8)));
    CHECK(c.kv.stats().num_host_cached ==
          2);  // the tail went first, and was forgotten for the rest
    c.end(*c.start("ann", range(0, 7)));
    CHECK(c.num_cached == 4);
  }

  TEST_CASE("a reservation that fails moves nothing and keeps what the host has") {
    content c{4, 4};
    c.end(*c.start("ann", range(0, 6)));
    const auto all = c.start("bob", range(50, 8));
    CHECK_FALSE(c.start("ann", range(0, 7)));
    CHECK(c.kv.stats().num_host_cached == 3);
    c.end(*all);
    CHECK(c.start("ann", range(0, 7)));
    CHECK(c.num_cached == 6);
  }

  TEST_CASE("a prefix that is computed again takes its place back from the host") {
    content c{4, 4};
    c.end(*c.start("ann", range(0, 4)));
    const auto held = c.kv.take(4).value();  // both go to the host
    c.move();
    CHECK(c.kv.stats().num_host_cached == 2);
    c.kv.seal("ann", range(0, 4), held);
    c.kv.check_invariants();
    CHECK(c.kv.stats().num_host_cached == 0);
    CHECK(c.kv.match("ann", range(0, 5)).blocks == blocks{held[0], held[1]});
  }

  TEST_CASE("whatever is moved, a matched block holds its prefix") {
    uint64_t num_moved = 0, num_hits = 0;
    for (uint32_t seed = 0; seed < 40; ++seed) {
      CAPTURE(seed);
      std::mt19937 rng(seed);
      content c{10 + static_cast<uint32_t>(rng() % 8), static_cast<uint32_t>(rng() % 12)};
      std::vector<blocks> live;
      for (int i = 0; i < test::scaled(10000) / 10; ++i) {
        if (rng() % 2 || live.empty()) {
          tokens text(1 + rng() % 14);
          for (token_id& t : text) t = static_cast<token_id>(rng() % 2);
          if (auto held = c.start(rng() % 2 ? "ann" : "bob", text)) live.push_back(*held);
        } else {
          std::swap(live[rng() % live.size()], live.back());
          c.end(live.back());
          live.pop_back();
        }
        if (rng() % 16 == 0) {
          const auto lent = c.kv.take_up_to(1 + rng() % 3);
          c.move();
          for (const block_id b : lent) c.cells[b] = {};
          c.end(lent);
        }
        if (rng() % 200 == 0) c.kv.drop_cache();
      }
      for (const auto& held : live) c.end(held);
      CHECK(c.kv.stats().num_used == 0);
      num_moved += c.kv.stats().moved_in;
      num_hits += c.kv.stats().prefix_hit_tokens;
    }
    CHECK(num_moved > 150);
    CHECK(num_hits > 2000);
  }
}
