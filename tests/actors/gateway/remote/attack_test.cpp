// What strangers, and clients that keep no rules, do to a node's port: real sockets, real threads.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "actors/error.hpp"
#include "actors/gateway/remote/tls_middleman.hpp"
#include "runtime/base/check.hpp"
#include "runtime/security/identity.hpp"
#include "tests/support/caf_bytes.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Says when it is being read, and waits for a word.
struct slow_message {
  std::string text;
  static std::atomic<bool> is_being_read, may_go_on;
};
std::atomic<bool> slow_message::is_being_read = false, slow_message::may_go_on = true;

template <class I>
typename I::result_type inspect(I& f, slow_message& x) {
  if constexpr (!I::reads_state) {
    slow_message::is_being_read = true;
    while (!slow_message::may_go_on) std::this_thread::yield();
  }
  return f(caf::meta::type_name("slow_message"), x.text);
}

}  // namespace

CAF_BEGIN_TYPE_ID_BLOCK(llmos_attack_test, caf::first_custom_type_id + 3000)
CAF_ADD_TYPE_ID(llmos_attack_test, (slow_message))
CAF_END_TYPE_ID_BLOCK(llmos_attack_test)

namespace {

constexpr uint64_t normal_message = 0x1000000000000000;
constexpr size_t max_connections = 8;

/// So that a test which has failed ends.
constexpr timeval patience{10, 0};
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct system_config : caf::actor_system_config {
  system_config() {
    set("scheduler.max-threads", size_t{1});
    set("middleman.workers", size_t{1});
    register_messages(*this);
    add_message_types<caf::id_block::llmos_attack_test>();
    load<caf::io::middleman>();
  }
};

/// A connection without any rules, blocking.
class intruder {
public:
  explicit intruder(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    LLMOS_CHECK(socket_ >= 0);
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int little = 64 << 10;  // before it connects, or it grows by itself
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    LLMOS_CHECK(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~intruder() { hang_up(); }
  intruder(const intruder&) = delete;
  intruder& operator=(const intruder&) = delete;

  void hang_up() {
    tls_.reset();
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void send_plain(const std::string& bytes) const {
    ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// The end of the stream, or a reset, comes.
  bool is_cut() {
    char bytes[4096];
    for (;;) {
      if (tls_) {
        size_t n = 0;
        const auto p = tls_->read(bytes, sizeof bytes, n);
        if (p == tls_stream::progress::done) continue;
        return p != tls_stream::progress::wants_read;
      }
      const auto n = ::recv(socket_, bytes, sizeof bytes, 0);
      if (n <= 0) return n == 0 || errno != EAGAIN;
    }
  }

  bool shake_hands(const tls_context& context) {
    tls_.emplace(tls_stream::connect(context, socket_, "localhost"));
    return tls_->handshake() == tls_stream::progress::done;
  }
  /// False when the connection is over.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t n = 0;
      if (tls_->write(bytes.data(), bytes.size(), n) != tls_stream::progress::done) return false;
      bytes.remove_prefix(n);
    }
    return true;
  }
  bool introduce(const std::string& node) {
    return send(test::frame_bytes({1}, node) + test::frame_bytes({1, 2}, node));
  }

private:
  int socket_;
  std::optional<tls_stream> tls_;
};

/// A port behind TLS and the filter, and an actor that counts what reaches it.
struct fixture {
  test::temp_dir dir;
  std::string identity = dir.file("identity");
  identity_paths paths{identity};
  std::shared_ptr<peer_table> peers = std::make_shared<peer_table>(max_connections);
  std::shared_ptr<intake> waiting = std::make_shared<intake>(intake::limits{SIZE_MAX, SIZE_MAX});
  std::atomic<int> num_reached = 0;
  std::vector<std::string> senders;  ///< Whose node, of all that reached it; read when it rests.

  system_config config;
  std::optional<caf::actor_system> system;
  caf::actor receiver;
  caf::io::middleman_actor middleman;
  uint16_t port = 0;

  fixture() {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    REQUIRE(make_node_identity(identity, {}, now));
    for (const char* name : {"alice", "bob"}) REQUIRE(make_client_identity(identity, name, now));
  }
  ~fixture() { stop(); }

  void start() {
    system.emplace(config);
    receiver = system->spawn([this](caf::event_based_actor* self) -> caf::behavior {
      const auto reached = [this, self] {
        const auto from = self->current_sender();
        senders.push_back(from == nullptr ? "nobody" : caf::to_string(from->node()));
        ++num_reached;
      };
      return {[reached](caf::atom_value, const std::string&) { reached(); },
              [reached](caf::atom_value, const slow_message&) { reached(); }};
    });
    auto door = std::make_shared<tls_door>(tls_door{
        tls_context::for_server({paths.node_certificate, paths.node_key, paths.ca_certificate})
            .value(),
        [](const tls_peer& peer) { return peer.name; },
        peers,
        waiting,
        {}});
    door->rules.messages = {"@<>+@atom+@str", "@<>+@atom+slow_message"};
    door->rules.receiver = [id = receiver.id()] { return id; };
    door->rules.own_node = node_bytes(*system);
    middleman = make_tls_middleman(*system, door, nullptr);
    caf::scoped_actor self{*system};
    self->request(middleman, caf::infinite, caf::publish_atom_v, uint16_t{0},
                  caf::actor_cast<caf::strong_actor_ptr>(receiver), std::set<std::string>{},
                  std::string("127.0.0.1"), true)
        .receive([this](uint16_t opened) { port = opened; },
                 [](const caf::error& e) { FAIL(caf::to_string(e)); });
  }
  void stop() {
    if (!system) return;
    caf::anon_send_exit(receiver, caf::exit_reason::kill);
    caf::anon_send_exit(middleman, caf::exit_reason::kill);
    receiver = nullptr;
    middleman = nullptr;
    system.reset();
  }

  tls_context context_of(const std::string& name) const {
    return tls_context::for_client(
               {paths.client_certificate(name), paths.client_key(name), paths.ca_certificate})
        .value();
  }
  std::string message(const std::string& types, const std::string& values,
                      uint64_t from = 5) const {
    return test::frame_bytes({2, 0, 0, normal_message, from, receiver.id()},
                             test::message_bytes(types, values));
  }
  std::string text_message() const {
    return message("@<>+@atom+@str", test::number(1, 8) + test::text_bytes("hi"));
  }

  /// Runs `f` on the thread of the sockets, and waits for its end.
  template <class F>
  void on_sockets_thread(F f) {
    std::promise<void> done;
    system->middleman().backend().post([&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  caf::io::basp_broker& broker() {
    const auto found = system->middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
    return *static_cast<caf::io::basp_broker*>(caf::actor_cast<caf::abstract_actor*>(found));
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.remote.attack");

TEST_CASE_FIXTURE(fixture, "a client with a certificate reaches the receiver") {
  start();
  intruder alice(port);
  REQUIRE(alice.shake_hands(context_of("alice")));
  REQUIRE(alice.introduce(test::node_bytes(7, 'A')));
  REQUIRE(alice.send(text_message()));
  CHECK(comes_true([&] { return num_reached == 1; }));
  CHECK(peers->num_bound() == 1);
  alice.hang_up();
  CHECK(comes_true([&] { return peers->num_connections() == 0; }));
}

TEST_CASE_FIXTURE(fixture, "strangers who speak before they are listened to leave nothing behind") {
  start();
  // All have spoken, and some have left, before the first of them is accepted.
  std::vector<std::unique_ptr<intruder>> strangers;
  on_sockets_thread([&] {
    for (size_t i = 0; i < max_connections; ++i) {
      strangers.push_back(std::make_unique<intruder>(port));
      strangers.back()->send_plain("GET / HTTP/1.1\r\n\r\n");
      if (i % 2 == 1) strangers.back()->hang_up();
    }
  });
  for (size_t i = 0; i < max_connections; i += 2) CHECK(strangers[i]->is_cut());
  CHECK(comes_true([&] { return peers->num_connections() == 0; }));
  intruder alice(port);  // and there is room for those who may
  CHECK(alice.shake_hands(context_of("alice")));
}

TEST_CASE_FIXTURE(fixture, "who asks and reads no answers is cut before they pile up") {
  start();
  intruder alice(port);
  REQUIRE(alice.shake_hands(context_of("alice")));
  const auto node = test::node_bytes(7, 'A');
  REQUIRE(alice.introduce(node));
  std::string own;
  on_sockets_thread([&] { own = node_bytes(*system); });
  std::string questions;  // each is answered that there is no such actor
  for (int i = 0; i < 1000; ++i) {
    questions += test::frame_bytes({4, 0, 0, 0, 0, 1'000'000}, node + own);
  }
  size_t sent = 0;
  while (sent < 64u << 20 && alice.send(questions)) sent += questions.size();
  CHECK(sent < 64u << 20);
  CHECK(comes_true([&] { return peers->num_connections() == 0; }));
}

TEST_CASE_FIXTURE(fixture, "who sends more than the receiver comes to handle is cut") {
  waiting = std::make_shared<intake>(intake::limits{10'000, SIZE_MAX});
  start();
  intruder alice(port), bob(port);
  REQUIRE(alice.shake_hands(context_of("alice")));
  REQUIRE(bob.shake_hands(context_of("bob")));
  REQUIRE(alice.introduce(test::node_bytes(1, 'A')));
  REQUIRE(bob.introduce(test::node_bytes(1, 'B')));
  const int has_room = 10'000 / static_cast<int>(text_message().size() - 32 + 512);
  for (int i = 0; i < 100; ++i) alice.send(text_message());
  CHECK(alice.is_cut());
  CHECK(comes_true([&] { return num_reached == has_room; }));
  REQUIRE(bob.send(text_message()));  // who has room of his own
  CHECK(comes_true([&] { return num_reached == has_room + 1; }));
}

TEST_CASE_FIXTURE(fixture, "who reads nothing holds no connection, and does not hold up the end") {
  config.set("middleman.heartbeat-interval", caf::timespan(20ms));
  config.set("middleman.connection-timeout", caf::timespan(200ms));
  start();
  intruder alice(port);
  REQUIRE(alice.shake_hands(context_of("alice")));
  const auto node = test::node_bytes(7, 'A');
  REQUIRE(alice.introduce(node));
  REQUIRE(comes_true([&] { return peers->num_bound() == 1; }));
  // More than the sockets hold, so that some waits in the node.
  on_sockets_thread([&] {
    auto& b = broker();
    for (auto& [handle, context] : b.ctx) {
      b.wr_buf(handle).insert(b.wr_buf(handle).end(), 12u << 20, 'x');
      b.flush(handle);
    }
  });
  SUBCASE("its silence is noticed") {
    CHECK(comes_true([&] { return peers->num_connections() == 0; }));
  }
  SUBCASE("the node is stopped") {}
  stop();
  CHECK(peers->num_connections() == 0);
}

TEST_CASE_FIXTURE(fixture, "nodes that come and go leave no actors behind") {
  start();
  const auto context = context_of("alice");
  for (uint32_t i = 1; i <= 20; ++i) {
    intruder alice(port);
    REQUIRE(alice.shake_hands(context));
    REQUIRE(alice.introduce(test::node_bytes(i, 'A')));
    REQUIRE(alice.send(text_message()));
    REQUIRE(comes_true([&] { return num_reached == static_cast<int>(i); }));
    alice.hang_up();
    REQUIRE(comes_true([&] { return peers->num_connections() == 0; }));
  }
  size_t left = 1;
  on_sockets_thread([&] { left = broker().spawn_servers.size(); });
  CHECK(left == 0);
}

TEST_CASE_FIXTURE(fixture, "nobody is taken for a node that has left while CAF still knows it") {
  start();
  const auto node = test::node_bytes(7, 'A'), other_node = test::node_bytes(8, 'B');
  const auto name = [](const std::string& bytes) { return node_text(test::as_bytes(bytes)); };
  slow_message::may_go_on = slow_message::is_being_read = false;
  intruder bob(port), alice(port);
  REQUIRE(bob.shake_hands(context_of("bob")));
  REQUIRE(alice.shake_hands(context_of("alice")));
  REQUIRE(alice.introduce(node));
  // While this is read CAF keeps the node in its tables, although the connection is over.
  REQUIRE(alice.send(message("@<>+@atom+slow_message", test::number(1, 8) + test::text_bytes(""))));
  REQUIRE(comes_true([] { return slow_message::is_being_read.load(); }));
  alice.hang_up();
  REQUIRE(comes_true([&] { return peers->num_connections() == 1; }));
  on_sockets_thread([] {});  // and its descriptor is closed
  std::optional<intruder> next;
  SUBCASE("nor let in by its id") {
    CHECK(bob.introduce(node));
    CHECK(bob.is_cut());
  }
  SUBCASE("nor taken for it by its descriptor") {
    next.emplace(port);  // is given the number that was free
    REQUIRE(next->shake_hands(context_of("bob")));
    CHECK(next->introduce(other_node));
    CHECK(next->send(text_message()));
    CHECK(comes_true([&] { return peers->num_bound() == 1; }));
  }
  slow_message::may_go_on = true;
  std::vector<std::string> want{name(node)};
  if (next) want.push_back(name(other_node));
  CHECK(comes_true([&] { return num_reached == static_cast<int>(want.size()); }));
  intruder again(port);  // and now it may
  REQUIRE(again.shake_hands(context_of("bob")));
  REQUIRE(again.introduce(node));
  REQUIRE(again.send(text_message()));
  want.push_back(name(node));
  CHECK(comes_true([&] { return num_reached == static_cast<int>(want.size()); }));
  CHECK(senders == want);
}

TEST_SUITE_END();
