#include "runtime/remote/frame_filter.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <vector>

#include "tests/support/caf_bytes.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using namespace std::string_literals;
using test::as_bytes;
using test::error_bytes;
using test::message_bytes;

namespace {

constexpr uint8_t server_handshake = 0, client_handshake = 1, direct = 2, routed = 3, monitor = 4,
                  down = 5, heartbeat = 6;
constexpr uint8_t named = 1, selects = 2;
constexpr uint64_t normal_message = 0x1000000000000000;  // as CAF numbers those without an answer
constexpr uint64_t response = 0x8000000000000000, answered = 0x4000000000000000;
constexpr uint64_t upstream = 0x2000000000000000, downstream = 0x3000000000000000;
constexpr uint64_t spawn_server = 0x3ddd66f3376adfb;
constexpr uint64_t gate = 17, client = 5;
constexpr uint32_t max_payload = 1000;

const std::string hello = "@<>+@atom+llmos::wire::hello";
const std::string own = test::node_bytes(1, 'O'), theirs = test::node_bytes(2, 'T'),
                  third = test::node_bytes(3, 'X');

std::string render(frame_verdict v) {
  return v == frame_verdict::pass ? "pass" : v == frame_verdict::drop ? "drop" : "refuse";
}

frame_rules make_rules() {
  return {{hello}, [] { return gate; }, own, [](const std::string&) { return true; }, max_payload,
          3};
}

/// As a connection meets a frame: the payload is looked at when the header passed.
std::string meet(frame_filter& f, frame_header h, const std::string& payload) {
  h.payload_bytes = static_cast<uint32_t>(payload.size());
  const auto verdict = f.header(h);
  if (verdict != frame_verdict::pass || payload.empty()) return render(verdict);
  return render(f.payload(h, as_bytes(payload)));
}

std::string header_only(const frame_filter& f, const frame_header& h) {
  return render(f.header(h));
}

/// A connection that has shaken hands.
frame_filter open_filter(frame_rules rules = make_rules()) {
  frame_filter f(std::move(rules));
  REQUIRE(meet(f, {client_handshake}, theirs) == "pass");
  return f;
}

struct row {
  const char* name;
  frame_header header;
  std::string payload;
  const char* want;
};

/// Each against a connection of its own.
template <class Rows>
void check_when_open(const Rows& rows) {
  for (const row& r : rows) {
    CAPTURE(r.name);
    frame_filter f = open_filter();
    CHECK(meet(f, r.header, r.payload) == r.want);
  }
}

/// A message from an actor of the client to one of the node's.
frame_header message(uint64_t from, uint64_t to, uint64_t id = normal_message) {
  return {direct, 0, 0, id, from, to};
}

}  // namespace

TEST_SUITE("runtime.remote.frame_filter") {
  TEST_CASE("a header is read as CAF writes it, whatever stands in its padding") {
    const frame_header h{4, 2, 0x01020304, 0x1122334455667788, 0x99, 0xaabb};
    std::string bytes = test::header_bytes(h);
    REQUIRE(bytes.size() == frame_header::size_bytes);
    bytes[1] = '\xff', bytes[2] = '\xff';
    const auto read = frame_header::parse(as_bytes(bytes).first<frame_header::size_bytes>());
    CHECK(read.operation == 4);
    CHECK(read.flags == 2);
    CHECK(read.payload_bytes == 0x01020304);
    CHECK(read.data == 0x1122334455667788);
    CHECK(read.source_actor == 0x99);
    CHECK(read.dest_actor == 0xaabb);
  }

  TEST_CASE("the id of a process is a text, any other has none") {
    const std::string host("\x01\x23\xab\xff", 4);
    const std::string good =
        test::number(0x00003e9aab9bac79, 8) + test::number(4711, 4) + host + std::string(16, '\0');
    CHECK(node_text(as_bytes(good)) == "0123ABFF" + std::string(32, '0') + "#4711");
    const std::string largest = test::node_bytes(UINT32_MAX, '\xff');
    CHECK(node_text(as_bytes(largest)) == std::string(40, 'F') + "#4294967295");
    const std::string none[] = {
        test::number(0, 8) + good.substr(8),                       // no id at all
        test::number(0x1234, 8) + good.substr(8),                  // of another kind
        good.substr(0, 8) + test::number(0, 4) + good.substr(12),  // no process
        good.substr(0, 12) + std::string(20, '\0'),                // no host
        good.substr(0, 31),
        good + '\0',
        ""};
    for (const std::string& bytes : none) CHECK(node_text(as_bytes(bytes)) == "");
  }

  TEST_CASE("before the handshake nothing else is admitted") {
    for (int operation = 0; operation <= 255; ++operation) {
      if (operation == client_handshake) continue;
      CAPTURE(operation);
      frame_filter f(make_rules());
      const frame_header h{static_cast<uint8_t>(operation), 0, 64, normal_message, client, gate};
      CHECK(header_only(f, h) == "refuse");
      CHECK(header_only(f, {static_cast<uint8_t>(operation)}) == "refuse");
    }
    frame_filter f(make_rules());
    CHECK(header_only(f, {direct, named, 64, normal_message, client, spawn_server}) == "refuse");
    CHECK(f.node() == "");
  }

  TEST_CASE("the first handshake has one form") {
    const row rows[] = {
        {"as a client says it", {client_handshake}, theirs, "pass"},
        {"a flag that there is not", {client_handshake, 4}, theirs, "refuse"},
        {"as a second one", {client_handshake, selects}, theirs, "refuse"},
        {"a named receiver", {client_handshake, named}, theirs, "refuse"},
        {"both flags", {client_handshake, named | selects}, theirs, "refuse"},
        {"a sender", {client_handshake, 0, 0, 0, 1}, theirs, "refuse"},
        {"a receiver", {client_handshake, 0, 0, 0, 0, 1}, theirs, "refuse"},
        {"no payload", {client_handshake}, "", "refuse"},
        {"too short", {client_handshake}, theirs.substr(1), "refuse"},
        {"too long", {client_handshake}, theirs + "x", "refuse"},
        {"of this node", {client_handshake}, own, "refuse"},
        {"no process", {client_handshake}, test::node_bytes(0, 'T'), "refuse"},
        {"no host", {client_handshake}, test::node_bytes(2, '\0'), "refuse"},
        {"no id", {client_handshake}, std::string(32, '\0'), "refuse"},
        {"another kind of id", {client_handshake}, std::string(32, 'x'), "refuse"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      frame_filter f(make_rules());
      CHECK(meet(f, r.header, r.payload) == r.want);
      CHECK(f.node().empty() == (r.want != "pass"s));
    }
  }

  TEST_CASE("who is not welcome is refused, and is asked after once, by its text") {
    std::vector<std::string> asked;
    for (const bool is_welcome : {false, true}) {
      frame_rules rules = make_rules();
      rules.greeted = [&](const std::string& node) {
        asked.push_back(node);
        return is_welcome;
      };
      frame_filter f(std::move(rules));
      CHECK(meet(f, {client_handshake}, theirs) == (is_welcome ? "pass" : "refuse"));
      if (is_welcome) CHECK(meet(f, {client_handshake, selects}, theirs) == "pass");
      CHECK(f.node() == (is_welcome ? node_text(as_bytes(theirs)) : ""));
    }
    CHECK(asked == std::vector<std::string>(2, node_text(as_bytes(theirs))));
  }

  TEST_CASE("a second handshake chooses this connection, and names nobody else") {
    const row rows[] = {
        {"as CAF repeats it", {client_handshake, selects}, theirs, "pass"},
        {"without the choice", {client_handshake}, theirs, "refuse"},
        {"with more flags", {client_handshake, selects | named}, theirs, "refuse"},
        {"another process", {client_handshake, selects}, third, "refuse"},
        {"this node", {client_handshake, selects}, own, "refuse"},
        {"no id", {client_handshake, selects}, std::string(32, '\0'), "refuse"},
        {"too long", {client_handshake, selects}, theirs + "x", "refuse"},
        {"a sender", {client_handshake, selects, 0, 0, 1}, theirs, "refuse"},
    };
    check_when_open(rows);
    frame_filter f = open_filter();
    for (int i = 0; i < 3; ++i) CHECK(meet(f, {client_handshake, selects}, theirs) == "pass");
    CHECK(f.node() == node_text(as_bytes(theirs)));
  }

  TEST_CASE("operations that a client has no need of are refused") {
    const std::string any = message_bytes(hello);
    const std::string way = theirs + own + any;
    const row rows[] = {
        {"a server's handshake", {server_handshake, 0, 0, 3}, theirs, "refuse"},
        {"a server's handshake without a payload", {server_handshake, 0, 0, 3}, "", "refuse"},
        {"through this node to another", {routed, 0, 0, normal_message, client, 9}, way, "refuse"},
        {"to the receiver by a detour",
         {routed, 0, 0, normal_message, client, gate},
         way,
         "refuse"},
        {"the first without a name", {7, 0, 0, normal_message, client, gate}, any, "refuse"},
        {"the last without a name", {255}, "", "refuse"},
    };
    check_when_open(rows);
  }

  TEST_CASE("messages reach the receiver alone, and only those on the list") {
    const std::string any = message_bytes(hello);
    const auto to_gate = message(client, gate);
    const row rows[] = {
        {"on the list", to_gate, any, "pass"},
        {"of high priority", message(client, gate, 0), any, "pass"},
        {"a request", message(client, gate, normal_message | 0x0fff), any, "pass"},
        {"with values", to_gate, message_bytes(hello, "values are CAF's"), "pass"},
        {"another type", to_gate, message_bytes("@<>+@atom+llmos::wire::other"), "refuse"},
        {"less than a type", to_gate, message_bytes("@<>+@atom+llmos::wire::hell"), "refuse"},
        {"more than a type", to_gate, message_bytes(hello + "+@str"), "refuse"},
        {"no types", to_gate, message_bytes("@<>"), "refuse"},
        {"types that are no list", to_gate, message_bytes("@atom"), "refuse"},
        {"an empty text for types", to_gate, message_bytes(""), "refuse"},
        {"with a null character behind", to_gate, message_bytes(hello + '\0'), "refuse"},
        {"nobody's", message(0, gate), any, "refuse"},
        {"to nobody", message(client, 0), any, "refuse"},
        {"no payload", to_gate, "", "refuse"},
        {"to an actor that there may be", message(client, gate + 1), any, "drop"},
        {"to the first actor", message(client, 1), message_bytes("@<>+@atom+@str"), "drop"},
        {"nobody's, to another", message(0, 1), any, "drop"},
        {"an answer to a question", message(client, 99), message_bytes("@<>+@atom"), "drop"},
        {"no types, to another", message(client, 1), message_bytes("@<>"), "drop"},
    };
    check_when_open(rows);
  }

  TEST_CASE("values that do not fit, or have no room, do not reach the receiver") {
    frame_rules rules = make_rules();
    std::vector<size_t> sizes;
    rules.fits = [](std::string_view types, wire_reader values) {
      return types == hello && values.number(1) == 'v';
    };
    rules.has_room = [&](size_t bytes) {
      sizes.push_back(bytes);
      return sizes.size() == 1;
    };
    frame_filter f = open_filter(rules);
    const std::string good = message_bytes(hello, "values");
    CHECK(meet(f, message(client, gate + 1), good) == "drop");
    CHECK(sizes.empty());
    CHECK(meet(f, message(client, gate), good) == "pass");
    CHECK(sizes == std::vector<size_t>{good.size()});
    CHECK(meet(f, message(client, gate), message_bytes(hello, "other")) == "refuse");
    CHECK(sizes.size() == 1);
    frame_filter full = open_filter(rules);
    CHECK(meet(full, message(client, gate), good) == "refuse");
  }

  TEST_CASE("what does not begin as a message does is refused, whoever it is for") {
    const std::string types = test::text_bytes(hello);
    const row rows[] = {
        {"one actor that it came through", {}, "\x01"s + theirs + std::string(8, '\x01'), ""},
        {"a size without end", {}, std::string(6, '\x80'), ""},
        {"nothing behind the stages", {}, "\0"s, ""},
        {"a type with a number", {}, "\0\0\x01"s + types, ""},
        {"half of that number", {}, "\0\0"s, ""},
        {"no types", {}, "\0\0\0"s, ""},
        {"types longer than the payload", {}, "\0\0\0\x7f"s + hello, ""},
        {"types of 4 GiB", {}, "\0\0\0\xff\xff\xff\xff\x0f"s + hello, ""},
        {"types whose size is of 36 bits", {}, "\0\0\0\xff\xff\xff\xff\x7f"s + hello, ""},
        {"types with the beginning alone", {}, "\0\0\0\x02@<"s, ""},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      for (const uint64_t to : {gate, gate + 1}) {
        frame_filter f = open_filter();
        CHECK(meet(f, message(client, to), r.payload) == "refuse");
      }
    }
    // A size may be written longer than it need be: CAF takes it, and it means the same.
    frame_filter f = open_filter();
    CHECK(meet(f, message(client, gate), "\x80\0\0\0"s + types) == "pass");
  }

  TEST_CASE("a message about an exit is refused, whoever it is for and whatever else is in it") {
    for (const char* types : {"@<>+@exit", "@<>+@down", "@<>+@exit_msg", "@<>+@down_msg",
                              "@<>+@atom+@exit", "@<>+@atom+@down+@str"}) {
      CAPTURE(types);
      for (const uint64_t to : {gate, gate + 1}) {
        frame_rules rules = make_rules();
        rules.messages.insert(types);  // not even then
        frame_filter f = open_filter(std::move(rules));
        CHECK(meet(f, message(client, to), message_bytes(types, "anything")) == "refuse");
      }
    }
  }

  TEST_CASE("nobody asked a client anything: answers and streams are refused") {
    const std::string any = message_bytes(hello);
    for (const uint64_t id :
         {response, answered, upstream, downstream, response | answered,
          response | normal_message | 7, answered | normal_message, UINT64_MAX}) {
      CAPTURE(id);
      for (const uint64_t to : {gate, gate + 1}) {
        frame_filter f = open_filter();
        CHECK(meet(f, message(client, to, id), any) == "refuse");
      }
    }
  }

  TEST_CASE("of receivers by name only CAF's question is let go by, unread") {
    const std::string question = message_bytes("@<>+@atom+@atom+@str");
    const auto ask = [](uint8_t flags, uint64_t whom, uint64_t id = 0) {
      return frame_header{direct, flags, 0, id, client, whom};
    };
    const uint64_t config_server = 0x1de7a1a1ce60b45b;
    const row rows[] = {
        {"the question", ask(named, spawn_server), question, "drop"},
        {"garbage in its place", ask(named, spawn_server), "garbage", "drop"},
        {"an exit in its place", ask(named, spawn_server), message_bytes("@<>+@exit"), "drop"},
        {"the largest", ask(named, spawn_server), std::string(4096, 'x'), "drop"},
        {"a larger one", ask(named, spawn_server), std::string(4097, 'x'), "refuse"},
        {"with another flag", ask(named | selects, spawn_server), question, "refuse"},
        {"another name", ask(named, config_server), question, "refuse"},
        {"the receiver's number as a name", ask(named, gate), message_bytes(hello), "refuse"},
        {"no name", ask(named, 0), question, "refuse"},
        {"that name as a number", ask(0, spawn_server), question, "drop"},
    };
    check_when_open(rows);
  }

  TEST_CASE("flags that do not belong to an operation refuse it") {
    const std::string nodes = theirs + own;
    const row good[] = {
        {"message", message(client, gate), message_bytes(hello), "pass"},
        {"monitor", {monitor, 0, 0, 0, 0, gate}, nodes, "pass"},
        {"down", {down, 0, 0, 0, client}, nodes + error_bytes("@<>"), "pass"},
        {"heartbeat", {heartbeat}, "", "pass"},
    };
    check_when_open(good);
    for (const row& r : good) {
      CAPTURE(r.name);
      for (int flags = 1; flags <= 255; ++flags) {
        frame_filter f = open_filter();
        frame_header h = r.header;
        h.flags = static_cast<uint8_t>(flags);
        CHECK(meet(f, h, r.payload) == "refuse");
      }
    }
  }

  TEST_CASE("a payload has a size that is allowed, and no other than its header says") {
    frame_filter f = open_filter();
    const auto size = [&](frame_header h, uint32_t n) {
      h.payload_bytes = n;
      return header_only(f, h);
    };
    const auto to_gate = message(client, gate);
    CHECK(size(to_gate, 1) == "pass");
    CHECK(size(to_gate, max_payload) == "pass");
    CHECK(size(to_gate, max_payload + 1) == "refuse");
    CHECK(size(to_gate, UINT32_MAX) == "refuse");
    CHECK(size(message(client, 1), max_payload + 1) == "refuse");
    for (const uint32_t n : {0u, 63u, 65u, UINT32_MAX}) CHECK(size({monitor}, n) == "refuse");
    const frame_header gone{down, 0, 0, 0, client};
    for (const uint32_t n : {0u, 64u, 4097u, UINT32_MAX}) CHECK(size(gone, n) == "refuse");
    CHECK(size(gone, 65) == "pass");
    CHECK(size(gone, 4096) == "pass");
    CHECK(size({heartbeat}, 1) == "refuse");

    const std::string any = message_bytes(hello);
    frame_header h = to_gate;
    for (const size_t n : {any.size() - 1, any.size() + 1, size_t{0}}) {
      h.payload_bytes = static_cast<uint32_t>(n);
      CHECK(render(f.payload(h, as_bytes(any))) == "refuse");
    }
    CHECK(render(f.payload({heartbeat}, {})) == "refuse");  // it has none that could be looked at
  }

  TEST_CASE("a client may watch actors of this node, as itself") {
    const row rows[] = {
        {"the receiver", {monitor, 0, 0, 0, 0, gate}, theirs + own, "pass"},
        {"one that may not be", {monitor, 0, 0, 0, 0, 12345}, theirs + own, "pass"},
        {"with data", {monitor, 0, 0, 1, 0, gate}, theirs + own, "refuse"},
        {"for another node", {monitor, 0, 0, 0, 0, gate}, third + own, "refuse"},
        {"of another node", {monitor, 0, 0, 0, 0, gate}, theirs + third, "refuse"},
        {"the other way round", {monitor, 0, 0, 0, 0, gate}, own + theirs, "refuse"},
        {"of itself", {monitor, 0, 0, 0, 0, gate}, theirs + theirs, "refuse"},
        {"half of it", {monitor, 0, 0, 0, 0, gate}, theirs, "refuse"},
        {"nothing", {monitor, 0, 0, 0, 0, gate}, "", "refuse"},
    };
    check_when_open(rows);
  }

  TEST_CASE("a client tells of the end of its own actors, with an error of texts at most") {
    const frame_header gone{down, 0, 0, 0, client};
    const std::string nodes = theirs + own;
    const std::string error = error_bytes("@<>");
    const row rows[] = {
        {"without a word", gone, nodes + error, "pass"},
        {"with a text", gone, nodes + error_bytes("@<>+@str", test::text_bytes("why")), "pass"},
        {"with two", gone,
         nodes + error_bytes("@<>+@str+@str", test::text_bytes("") + test::text_bytes("b")),
         "pass"},
        {"an actor of another node", gone, third + own + error, "refuse"},
        {"told to another node", gone, theirs + third + error, "refuse"},
        {"an actor of this node", gone, own + theirs + error, "refuse"},
        {"nobody", {down}, nodes + error, "refuse"},
        {"to somebody", {down, 0, 0, 0, client, gate}, nodes + error, "refuse"},
        {"with data", {down, 0, 0, 1, client}, nodes + error, "refuse"},
        {"no error", gone, nodes, "refuse"},
        {"half an error", gone, nodes + error.substr(0, 9), "refuse"},
        {"more behind it", gone, nodes + error + "x", "refuse"},
        {"a type with a number", gone, nodes + error.substr(0, 9) + "\0\x01\0"s, "refuse"},
        {"no types", gone, nodes + error_bytes(""), "refuse"},
        {"a text that is not there", gone, nodes + error_bytes("@<>+@str"), "refuse"},
        {"a text cut off", gone,
         nodes + error_bytes("@<>+@str",
                             "\x05"
                             "abcd"),
         "refuse"},
        {"an actor in it", gone, nodes + error_bytes("@<>+@strong_actor_ptr", "\0"s), "refuse"},
        {"an actor behind a text", gone, nodes + error_bytes("@<>+@str+@actor", "\0\0"s), "refuse"},
        {"another type", gone, nodes + error_bytes("@<>+@atom", std::string(8, 'x')), "refuse"},
    };
    check_when_open(rows);
  }

  TEST_CASE("a heartbeat is empty") {
    const row rows[] = {
        {"empty", {heartbeat}, "", "pass"},
        {"with a payload", {heartbeat}, "x", "refuse"},
        {"with data", {heartbeat, 0, 0, 1}, "", "refuse"},
        {"with a sender", {heartbeat, 0, 0, 0, 1}, "", "refuse"},
        {"with a receiver", {heartbeat, 0, 0, 0, 0, 1}, "", "refuse"},
    };
    check_when_open(rows);
  }

  TEST_CASE("as many actors of a client may send as there is room for; an end makes room") {
    const std::string any = message_bytes(hello), gone = theirs + own + error_bytes("@<>");
    frame_filter f = open_filter();  // three
    for (const uint64_t from : {7, 8, 7, 9, 8, 9}) {
      CHECK(meet(f, message(from, gate), any) == "pass");
    }
    CHECK(meet(f, {down, 0, 0, 0, 6}, gone) == "pass");  // it never said anything
    CHECK(meet(f, {down, 0, 0, 0, 8}, gone) == "pass");
    CHECK(meet(f, {down, 0, 0, 0, 8}, gone) == "pass");  // twice makes no room twice
    CHECK(meet(f, message(10, gate), any) == "pass");
    CHECK(meet(f, message(9, gate), any) == "pass");
    CHECK(meet(f, message(11, gate), any) == "refuse");
  }

  TEST_CASE("what is let go by takes no sender's place") {
    const std::string any = message_bytes(hello);
    frame_filter f = open_filter();
    for (uint64_t from = 1; from < 100; ++from) {
      CHECK(meet(f, message(from, gate + 1), any) == "drop");
      CHECK(meet(f, {direct, named, 0, 0, from, spawn_server}, any) == "drop");
    }
    for (uint64_t from = 1; from <= 3; ++from) {
      CHECK(meet(f, message(from, gate), any) == "pass");
    }
  }

  TEST_CASE("the receiver may be replaced: the old one is no longer reached") {
    uint64_t receiver = gate;
    frame_rules rules = make_rules();
    rules.receiver = [&] { return receiver; };
    frame_filter f = open_filter(std::move(rules));
    const std::string any = message_bytes(hello);
    CHECK(meet(f, message(client, gate), any) == "pass");
    receiver = 40;
    CHECK(meet(f, message(client, gate), any) == "drop");
    CHECK(meet(f, message(client, 40), any) == "pass");
  }

  TEST_CASE("a good frame with a bit turned passes only in the same shape") {
    std::mt19937_64 rng{23};
    const std::string nodes = theirs + own;
    const row good[] = {
        {"", {client_handshake, selects}, theirs, ""},
        {"", message(client, gate), message_bytes(hello, "values"), ""},
        {"", {monitor, 0, 0, 0, 0, gate}, nodes, ""},
        {"", {down, 0, 0, 0, client}, nodes + error_bytes("@<>+@str", "\x03why"), ""},
        {"", {heartbeat}, "", ""},
    };
    int n_passed = 0;
    const int n = test::scaled(50000);
    for (int i = 0; i < n; ++i) {
      const row& r = good[rng() % std::size(good)];
      std::string header = test::header_bytes(r.header), payload = r.payload;
      header[rng() % header.size()] ^= static_cast<char>(1 << rng() % 8);
      const auto h = frame_header::parse(as_bytes(header).first<frame_header::size_bytes>());
      if (!payload.empty() && rng() % 4 == 0) {
        payload[rng() % payload.size()] ^= static_cast<char>(1 << rng() % 8);
      }
      if (rng() % 8 == 0) payload.resize(rng() % (payload.size() + 8));
      frame_filter f = open_filter();
      if (meet(f, h, payload) != "pass") continue;
      ++n_passed;
      const bool is_about_us = payload.starts_with(nodes) && h.data == 0;
      const bool fits =
          (h.operation == client_handshake && payload == theirs && h.flags == selects) ||
          (h.operation == direct && h.dest_actor == gate && h.source_actor != 0 &&
           payload.starts_with(message_bytes(hello))) ||
          (h.operation == monitor && is_about_us && payload == nodes) ||
          (h.operation == down && is_about_us && h.source_actor != 0 && h.dest_actor == 0) ||
          (h.operation == heartbeat && payload.empty());
      REQUIRE(fits);
    }
    CHECK(n_passed > n / 10);  // or the above says nothing
  }
}

TEST_SUITE("runtime.remote.verdict_at_client") {
  TEST_CASE(
      "a client takes what a node sends, but nothing for an actor that is asked for by name") {
    struct client_row {
      const char* name;
      frame_header header;
      const char* want;
    };
    const client_row rows[] = {
        {"the node's handshake", {server_handshake, 0, 80, 3}, "pass"},
        {"an empty one", {server_handshake, 0, 0, 3}, "refuse"},
        {"a client's", {client_handshake, 0, 32}, "refuse"},
        {"a message", {direct, 0, 50, normal_message, gate, client}, "pass"},
        {"an answer", {direct, 0, 50, response | 7, gate, client}, "pass"},
        {"to a name", {direct, named, 50, 0, gate, spawn_server}, "drop"},
        {"to another name", {direct, named, 50, 0, gate, 99}, "drop"},
        {"from a third node", {routed, 0, 50, normal_message, 9, client}, "refuse"},
        {"a watch", {monitor, 0, 64, 0, 0, client}, "pass"},
        {"an empty watch", {monitor, 0, 0, 0, 0, client}, "refuse"},
        {"an end", {down, 0, 76, 0, gate}, "pass"},
        {"an empty end", {down, 0, 0, 0, gate}, "refuse"},
        {"a heartbeat", {heartbeat}, "pass"},
        {"a full heartbeat", {heartbeat, 0, 1}, "refuse"},
        {"the largest", {direct, 0, max_payload, normal_message, gate, client}, "pass"},
        {"too large", {direct, 0, max_payload + 1, normal_message, gate, client}, "refuse"},
        {"too large for a name", {direct, named, max_payload + 1, 0, gate, 99}, "refuse"},
        {"a handshake too large", {server_handshake, 0, UINT32_MAX, 3}, "refuse"},
        {"no operation", {7, 0, 10}, "refuse"},
    };
    for (const client_row& r : rows) {
      CAPTURE(r.name);
      CHECK(render(verdict_at_client(r.header, max_payload)) == r.want);
    }
  }
}
