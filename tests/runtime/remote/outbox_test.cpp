#include "runtime/remote/outbox.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <vector>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

/// What an outbox does, said with all events kept for good: event n is at n - 1.
struct naive_outbox {
  struct item {
    int event;
    size_t bytes;
  };
  std::vector<item> all;
  uint64_t acked = 0, sent = 0;  ///< Numbers of the last ones.

  size_t bytes_between(uint64_t first, uint64_t last) const {
    size_t out = 0;
    for (uint64_t n = first; n < last; ++n) out += all[n].bytes;
    return out;
  }
  size_t held() const { return bytes_between(acked, all.size()); }
  size_t on_the_way() const { return bytes_between(acked, sent); }
  bool may_send(size_t window) const { return sent < all.size() && on_the_way() < window; }
};

/// Numbers of all that is given within a window.
std::vector<uint64_t> take_all(outbox<int>& box, size_t window) {
  std::vector<uint64_t> out;
  while (const auto next = box.take_next(window)) out.push_back(next->number);
  return out;
}

using numbers = std::vector<uint64_t>;

}  // namespace

TEST_SUITE("runtime.remote.outbox") {
  TEST_CASE("events are numbered from 1 and leave in order while the window is open") {
    outbox<int> box;
    CHECK(box.is_empty());
    CHECK_FALSE(box.take_next(100));
    for (int i = 1; i <= 5; ++i) CHECK(box.push(i, 40) == static_cast<uint64_t>(i));
    CHECK(take_all(box, 100) == numbers{1, 2, 3});  // begun below it, however long the last is
    CHECK(box.sent_bytes() == 120);
    CHECK(box.held_bytes() == 200);
    CHECK(box.is_waiting());
    CHECK(box.acknowledge(1));
    CHECK(take_all(box, 100) == numbers{4});
    CHECK(box.acknowledge(4));
    CHECK(take_all(box, 100) == numbers{5});
    CHECK_FALSE(box.is_waiting());
    CHECK_FALSE(box.is_empty());
    CHECK(box.acknowledge(5));
    CHECK(box.is_empty());
    CHECK(box.held_bytes() == 0);
    CHECK(box.sent_bytes() == 0);
    CHECK(box.push(6, 1) == 6);
  }

  TEST_CASE("what was never sent cannot be acknowledged, and a second time changes nothing") {
    outbox<int> box;
    CHECK(box.acknowledge(0));
    CHECK_FALSE(box.acknowledge(1));
    box.push(1, 10);
    box.push(2, 10);
    CHECK_FALSE(box.acknowledge(1));
    take_all(box, 1);
    CHECK_FALSE(box.acknowledge(2));
    CHECK(box.acknowledge(1));
    CHECK(box.acknowledge(1));
    CHECK(box.acknowledge(0));
    CHECK_FALSE(box.acknowledge(UINT64_MAX));
    CHECK(box.held_bytes() == 10);
  }

  TEST_CASE("a client that comes anew gets what is behind the last event that it has") {
    struct row {
      const char* name;
      uint64_t received;
      bool fits;
      numbers then;
    };
    // Of five events the first was acknowledged and three were sent.
    const row rows[] = {
        {"one that is gone", 0, false, {}},
        {"what was acknowledged", 1, true, {2, 3, 4, 5}},
        {"some on the way", 2, true, {3, 4, 5}},
        {"all that were sent", 3, true, {4, 5}},
        {"more than this side knows of", 4, true, {5}},
        {"all", 5, true, {}},
        {"more than there is", 6, false, {}},
        {"the largest number", UINT64_MAX, false, {}},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      outbox<int> box;
      for (int i = 1; i <= 5; ++i) box.push(i, 10);
      for (int i = 0; i < 3; ++i) box.take_next(1000);
      box.acknowledge(1);
      CHECK(box.resume(r.received) == r.fits);
      CHECK(box.sent_bytes() == (r.fits ? 0 : 20));
      CHECK(box.held_bytes() == (r.fits ? 10 * r.then.size() : 40));
      if (r.fits) CHECK(take_all(box, 1000) == r.then);
    }
  }

  TEST_CASE("events are moved in and held once") {
    outbox<std::unique_ptr<int>> box;
    box.push(std::make_unique<int>(7), 4);
    const auto next = box.take_next(1);
    REQUIRE(next);
    CHECK(*next->event == 7);
    CHECK(next->bytes == 4);
  }

  TEST_CASE("random walks do what one that forgets nothing does") {
    std::mt19937_64 rng{22};
    for (int walk = 0; walk < test::scaled(1000); ++walk) {
      outbox<int> box;
      naive_outbox naive;
      for (int step = 0; step < 200; ++step) {
        const uint64_t total = naive.all.size();
        // Mostly near what is held, at times far from it.
        const uint64_t any = rng() % 8 == 0 ? rng() : naive.acked + rng() % (total + 3);
        switch (rng() % 6) {
          case 0:
          case 1: {
            const size_t bytes = rng() % 4 == 0 ? 0 : rng() % 50;
            naive.all.push_back({step, bytes});
            REQUIRE(box.push(step, bytes) == total + 1);
            break;
          }
          case 2:
          case 3: {
            const size_t window = rng() % 150;
            const auto next = box.take_next(window);
            REQUIRE(next.has_value() == naive.may_send(window));
            if (!next) break;
            const auto& want = naive.all[naive.sent++];
            REQUIRE(next->number == naive.sent);
            REQUIRE(next->event == want.event);
            REQUIRE(next->bytes == want.bytes);
            break;
          }
          case 4:
            REQUIRE(box.acknowledge(any) == (any <= naive.sent));
            if (any <= naive.sent) naive.acked = std::max(naive.acked, any);
            break;
          case 5: {
            const bool fits = any >= naive.acked && any <= total;
            REQUIRE(box.resume(any) == fits);
            if (fits) naive.acked = naive.sent = any;
            break;
          }
        }
        REQUIRE(box.held_bytes() == naive.held());
        REQUIRE(box.sent_bytes() == naive.on_the_way());
        REQUIRE(box.is_waiting() == (naive.sent < naive.all.size()));
        REQUIRE(box.is_empty() == (naive.acked == naive.all.size()));
      }
    }
  }
}
