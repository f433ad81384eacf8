#include "runtime/security/peer_table.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include "runtime/base/check.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

using clock_type = peer_table::clock;

constexpr clock_type::time_point start{std::chrono::hours{1}};

clock_type::time_point after(int seconds) {
  return start + std::chrono::seconds{seconds};
}

/// Two ends of a connection; the first is the node's.
class socket_pair {
public:
  socket_pair() {
    LLMOS_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0);
  }
  ~socket_pair() {
    for (const int end : ends_) ::close(end);
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;

  int socket() const { return ends_[0]; }
  /// The other side sees the end of the stream.
  bool is_cut() const {
    char byte = 0;
    return ::recv(ends_[1], &byte, 1, 0) == 0;
  }

private:
  std::array<int, 2> ends_{};
};

}  // namespace

TEST_SUITE("runtime.security.peer_table") {
  TEST_CASE("there are no more connections than there may be, and one that ends makes room") {
    peer_table table{2};
    const socket_pair s;
    std::array<peer_table::connection, 4> all{};
    for (auto& c : all) {
      c = *table.opened(s.socket(), start);
      table.verified(c, "alice", {});
    }
    CHECK(table.bind(all[0], "one"));
    CHECK(table.bind(all[1], "two"));
    CHECK_FALSE(table.bind(all[2], "three"));
    CHECK_FALSE(s.is_cut());
    table.closed(all[0]);
    table.closed(all[0]);  // twice makes no room twice
    table.closed(99);
    CHECK(table.bind(all[2], "three"));
    CHECK_FALSE(table.bind(all[3], "four"));
    CHECK(table.num_connections() == 3);
    CHECK(table.opened(s.socket(), start) == 5);  // a number is not given again
  }

  TEST_CASE("strangers hold no client off: the one that came first makes room") {
    peer_table table{1};
    const socket_pair first, client, crowd;
    const auto a = *table.opened(first.socket(), start);
    const auto b = *table.opened(client.socket(), start);
    table.verified(b, "alice", {});
    for (size_t i = 2; i < peer_table::max_strangers; ++i) {
      REQUIRE(table.opened(crowd.socket(), start));
    }
    CHECK_FALSE(first.is_cut());
    CHECK(table.bind(b, "node"));  // and has a place
    REQUIRE(table.opened(crowd.socket(), start));
    CHECK_FALSE(first.is_cut());
    REQUIRE(table.opened(crowd.socket(), start));
    CHECK(first.is_cut());
    CHECK_FALSE(crowd.is_cut());
    table.closed(a);
    CHECK(table.principal_of("node") == "alice");
  }

  TEST_CASE("sockets that are not closed in time hold up new ones") {
    peer_table table{1};
    const socket_pair s;
    for (size_t i = 0; i < peer_table::max_sockets(1); ++i) {
      REQUIRE(table.opened(s.socket(), start));
    }
    CHECK_FALSE(table.opened(s.socket(), start));
    table.closed(1);
    CHECK(table.opened(s.socket(), start));
  }

  TEST_CASE("a node is known by its id once its connection is verified and gave it") {
    peer_table table{10};
    const socket_pair s;
    const auto c = *table.opened(s.socket(), start);
    CHECK_FALSE(table.bind(c, "node"));  // not verified
    table.verified(c, "", {});           // nobody
    CHECK_FALSE(table.bind(c, "node"));
    table.verified(c, "alice", {});
    CHECK_FALSE(table.principal_of("node"));
    CHECK(table.num_bound() == 0);
    CHECK(table.bind(c, "node"));
    CHECK(table.principal_of("node") == "alice");
    CHECK(table.num_bound() == 1);
    CHECK(table.nodes() == std::vector<std::string>{"node"});
    CHECK_FALSE(table.bind(c, "node"));  // it has one already
    CHECK_FALSE(table.bind(c, "other"));
    CHECK_FALSE(table.principal_of("other"));
    CHECK(table.principal_of("node") == "alice");
    CHECK_FALSE(s.is_cut());
    table.closed(c);
    CHECK_FALSE(table.principal_of("node"));
    CHECK(table.num_bound() == 0);
    CHECK(table.nodes().empty());
  }

  TEST_CASE("a connection that there is not has no name and no id") {
    peer_table table{10};
    const socket_pair s;
    const auto c = *table.opened(s.socket(), start);
    table.closed(c);
    table.verified(c, "alice", {});
    table.verified(77, "alice", {});
    CHECK_FALSE(table.bind(c, "node"));
    CHECK_FALSE(table.bind(77, "node"));
    CHECK(table.num_connections() == 0);
  }

  TEST_CASE("an id that a live connection has is given to no other") {
    struct row {
      const char *name, *principal;
      bool is_first_cut;
    };
    const row rows[] = {
        {"its client has come anew", "alice", true},
        {"somebody else's claim cuts nobody", "bob", false},
        {"nor does one that is like it", "alice2", false},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      peer_table table{10};
      const socket_pair a, b;
      const auto first = *table.opened(a.socket(), start);
      const auto second = *table.opened(b.socket(), start);
      table.verified(first, "alice", {});
      table.verified(second, r.principal, {});
      REQUIRE(table.bind(first, "node"));
      CHECK_FALSE(table.bind(second, "node"));
      CHECK(table.principal_of("node") == "alice");
      CHECK(a.is_cut() == r.is_first_cut);
      CHECK_FALSE(b.is_cut());
      table.closed(second);  // takes nothing from the first
      CHECK(table.principal_of("node") == "alice");
      table.closed(first);
      const auto third = *table.opened(b.socket(), start);
      table.verified(third, "alice", {});
      CHECK(table.bind(third, "node"));
    }
  }

  TEST_CASE("those who gave no id by the deadline are cut, and no one else") {
    struct row {
      const char *name, *principal, *node;
      int opened_at;
      bool is_cut;
    };
    const row rows[] = {
        {"silent", "", "", 0, true},          {"verified, and silent then", "alice", "", 1, true},
        {"bound", "alice", "node", 0, false}, {"just in time", "", "", 2, false},
        {"later", "", "", 3, false},
    };
    std::array<socket_pair, std::size(rows)> sockets;
    peer_table table{10};
    for (size_t i = 0; i < std::size(rows); ++i) {
      const auto c = *table.opened(sockets[i].socket(), after(rows[i].opened_at));
      if (*rows[i].principal != 0) table.verified(c, rows[i].principal, {});
      if (*rows[i].node != 0) REQUIRE(table.bind(c, rows[i].node));
    }
    CHECK(table.cut_silent(start) == 0);
    CHECK(table.cut_silent(after(2)) == 2);
    for (size_t i = 0; i < std::size(rows); ++i) {
      CAPTURE(rows[i].name);
      CHECK(sockets[i].is_cut() == rows[i].is_cut);
    }
    CHECK(table.num_connections() == 5);  // the thread of the sockets closes them
  }

  TEST_CASE("a node's connection is cut by its id") {
    peer_table table{10};
    const socket_pair a, b;
    for (const auto& [s, name] : {std::pair{&a, "one"}, {&b, "two"}}) {
      const auto c = *table.opened(s->socket(), start);
      table.verified(c, "alice", {});
      REQUIRE(table.bind(c, name));
    }
    table.cut("three");
    table.cut("");
    CHECK_FALSE(a.is_cut());
    CHECK_FALSE(b.is_cut());
    table.cut("two");
    CHECK_FALSE(a.is_cut());
    CHECK(b.is_cut());
    table.cut("two");  // once more is no harm
  }

  TEST_CASE("threads that come and go agree on who a node is") {
    constexpr size_t n_threads = 4, max_connections = 6;
    const int n_rounds = test::scaled(5000);
    peer_table table{max_connections};
    std::array<socket_pair, n_threads> sockets;
    std::atomic<int> wrong = 0, num_bound = 0;
    const auto expect = [&](bool x) { wrong += x ? 0 : 1; };
    const auto come_and_go = [&](size_t me) {
      std::mt19937 rng(static_cast<unsigned>(me));
      const std::string principal = "p" + std::to_string(me);
      for (int i = 0; i < n_rounds; ++i) {
        const auto c = table.opened(sockets[me].socket(), start);
        if (!c) continue;
        const std::string node = "n" + std::to_string(rng() % 5);
        if (rng() % 8 != 0) table.verified(*c, principal, {});
        if (table.bind(*c, node)) {
          ++num_bound;
          expect(table.principal_of(node) == principal);
        }
        if (rng() % 4 == 0) table.cut(node);
        if (rng() % 4 == 0) table.cut_silent(after(1));
        const auto nodes = table.nodes();
        expect(nodes.size() <= 5 && std::is_sorted(nodes.begin(), nodes.end()));
        expect(table.num_bound() <= max_connections);
        table.closed(*c);
      }
    };
    std::vector<std::thread> threads;
    for (size_t i = 0; i < n_threads; ++i) threads.emplace_back(come_and_go, i);
    for (auto& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(num_bound > 0);
    CHECK(table.num_connections() == 0);
    CHECK(table.num_bound() == 0);
  }
}
