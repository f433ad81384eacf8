// The whole way: a node with its port, clients that connect over TLS, and those that should not.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>

#include "actors/client/client.hpp"
#include "actors/client/gate.hpp"
#include "actors/gateway/remote/port.hpp"
#include "actors/node.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/base/write_file.hpp"
#include "runtime/security/identity.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"

using namespace llmos;
namespace remote = llmos::client;
using namespace std::chrono_literals;

namespace {

std::chrono::sys_seconds now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

struct fixture {
  test::temp_dir dir;
  std::string identity = dir.file("identity");
  node_config config;
  std::unique_ptr<node> aut;
  uint16_t port = 0;

  fixture() {
    test::write_tiny_model(dir.file("tiny.gguf"));
    REQUIRE(make_node_identity(identity, {}, now()).ok());
    REQUIRE(make_client_identity(identity, "client", now()).ok());
    config.models.folder = dir.file("");
    config.models.default_model = "tiny";
    config.engine.backend = "reference";
    config.engine.context = 256;
    config.engine.kv_bytes = 1 << 20;
    config.remote.identity = identity;
    config.http.enabled = false;
    config.remote.port = 0;
    config.remote.heartbeat_ms = 50;
    config.remote.silence_ms = 2000;
    start();
  }
  /// Anew, on the same port when there was one.
  void start() {
    aut = nullptr;
    config.remote.port = port;
    node_hooks hooks;
    hooks.has_ports = true;
    auto made = node::start(config, hooks);
    REQUIRE(made.ok());
    aut = std::move(*made);
    const auto opened = aut->serve();
    REQUIRE(opened.ok());
    port = opened->remote;
  }

  remote::options options(const std::string& name = "client") const {
    const identity_paths paths(identity);
    remote::options o;
    o.port = port;
    o.certificate = paths.client_certificate(name);
    o.key = paths.client_key(name);
    o.ca = paths.ca_certificate;
    o.heartbeat = 50ms;
    o.silence = 2000ms;
    o.max_backoff = 100ms;
    return o;
  }
  std::unique_ptr<remote::client> connect() const {
    auto made = remote::client::connect(options());
    if (!made) FAIL(to_string(made.error()));
    return std::move(*made);
  }
  static remote::request ask(uint32_t max_tokens) {
    remote::request r;
    r.prompt = "the prompt";
    r.sampling = {
        {"max_tokens", std::to_string(max_tokens)}, {"seed", "7"}, {"ignore_eos", "true"}};
    return r;
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.remote");

TEST_CASE_FIXTURE(fixture, "a service generates, and asks about the node") {
  const auto c = connect();
  CHECK(c->node().principal == "client");
  CHECK(c->node().server.starts_with("llmos "));
  const auto answer = c->generate(ask(30)).get();
  REQUIRE(answer.ok());
  CHECK(answer->end.reason == "length");
  CHECK(answer->end.completion_tokens == 30);
  CHECK(answer->end.model == "tiny");
  CHECK(answer->text.size() > 10);
  CHECK(c->generate(ask(30)).get()->text == answer->text);  // the same seed
  CHECK(c->models()->at(0).state == "loaded");
  CHECK(c->processes()->empty());
  const auto metrics = c->metrics();
  REQUIRE(metrics.ok());
  double num_requests = 0;
  for (const auto& m : metrics->all) {
    if (m.name != "llmos_requests_total") continue;
    for (const auto& line : m.lines) num_requests += line.value;
  }
  CHECK(num_requests == 2);
  const auto status = c->status();
  CHECK(status->state == "ready");
  CHECK(status->processes == 0);
  CHECK(status->all_blocks > 0);
  CHECK(c->events()->back().kind == "engine_started");
  CHECK(c->unload("tiny").ok());
  CHECK(c->models()->at(0).state == "on disk");
  CHECK(c->unload("tiny").error().code == ec::not_found);
  CHECK(c->load("tiny")->state == "loaded");
  CHECK(c->load("none").error().code == ec::not_found);
  CHECK(c->load("../" + dir.file("tiny.gguf")).error().code == ec::not_found);
  const auto hello = c->tokenize("hello");
  REQUIRE(hello.ok());
  CHECK(hello->context == 256);
  CHECK(*c->detokenize(hello->ids) == "hello");
  CHECK(c->detokenize({-1}).error().text.starts_with("ids: -1 is not in the vocabulary"));
  CHECK(c->kill(77).error().text == "no process 77");
  CHECK(remote::chat({{"user", "\xff"}}).error().text == "message 0 is not UTF-8");
  auto talk = *remote::chat({{"system", "Be \"short\"."}, {"user", "hi\n"}});
  CHECK(talk.messages ==
        R"([{"role":"system","content":"Be \"short\"."},{"role":"user","content":"hi\n"}])");
  auto wrong = ask(5);
  wrong.sampling.emplace_back("temprature", "1");
  const auto refused = c->generate(wrong).get();
  CHECK(refused.error().code == ec::invalid_argument);
  CHECK(refused.error().hint == "did you mean temperature?");
}

TEST_CASE_FIXTURE(fixture, "who is not on the list, or cannot prove it, does not get in") {
  const identity_paths paths(identity);
  const auto write = [this](const std::string& name, const std::string& bytes) {
    REQUIRE(write_file(dir.file(name), bytes).ok());
    return dir.file(name);
  };
  // Clients that the node's CA, or another one, vouches for.
  const auto make = [&](const key_pair& ca, const std::string& name, certificate_use use, auto from,
                        auto to) {
    const auto made = make_certificate(ca, {name, use, {"127.0.0.1"}, from, to});
    REQUIRE(made.ok());
    auto o = options();
    static int n = 0;
    o.certificate = write(std::to_string(++n) + ".crt", made->certificate);
    o.key = write(std::to_string(n) + ".key", made->key);
    return o;
  };
  const auto read = [](const std::string& path) { return *read_file(path, 1 << 20); };
  const key_pair ca{read(paths.ca_certificate), read(paths.ca_key)};
  const auto other_ca = make_ca("other", now() - 1h, now() + 1h);
  REQUIRE(other_ca.ok());
  auto self_signed = options();
  self_signed.certificate = write("self.crt", other_ca->certificate);
  self_signed.key = write("self.key", other_ca->key);
  auto other_node = options();
  other_node.ca = write("other.ca", other_ca->certificate);
  auto other_name = options();
  other_name.server_name = "node.example.com";
  struct row {
    const char* name;
    remote::options how;
    const char* text;  ///< Of the client's error.
  };
  const row table[] = {
      {"another CA", make(*other_ca, "client", certificate_use::client, now() - 1h, now() + 1h),
       ""},
      {"self-signed", self_signed, ""},
      {"expired", make(ca, "client", certificate_use::client, now() - 2h, now() - 1h), "expired"},
      {"not yet valid", make(ca, "client", certificate_use::client, now() + 1h, now() + 2h),
       "not valid yet"},
      {"a node's certificate", make(ca, "client", certificate_use::node, now() - 1h, now() + 1h),
       ""},
      {"not on the list", make(ca, "bob", certificate_use::client, now() - 1h, now() + 1h), ""},
      {"a node that another CA vouches for", other_node, "certificate was refused"},
      {"a node of another name", other_name, "certificate was refused"},
  };
  for (const row& r : table) {
    CAPTURE(r.name);
    const auto made = remote::client::connect(r.how);
    REQUIRE(!made.ok());
    CAPTURE(made.error().text);
    CHECK(made.error().text.find(r.text) != std::string::npos);
  }
  config.remote.clients = {"bob"};
  start();
  CHECK(remote::client::connect(table[5].how).ok());
  CHECK_FALSE(remote::client::connect(options()).ok());
}

TEST_CASE_FIXTURE(fixture, "a service is told what happens to its node, across a lost connection") {
  const auto c = connect();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<remote::event> told;
  c->on_event([&](const remote::event& e) {
    const std::lock_guard lock(mutex);
    told.push_back(e);
    changed.notify_all();
  });
  const auto wait_for = [&](const std::string& kind, const std::string& subject, size_t n) {
    std::unique_lock lock(mutex);
    const auto count = [&] {
      return static_cast<size_t>(std::count_if(told.begin(), told.end(), [&](const auto& e) {
        return e.kind == kind && e.subject == subject;
      }));
    };
    REQUIRE(changed.wait_for(lock, 60s, [&] { return count() >= n; }));
    CHECK(count() == n);
  };
  CHECK(c->events().ok());  // by then it watches
  CHECK(c->load("tiny").ok());
  wait_for("engine_started", "tiny", 1);
  CHECK(told[0].text == "on reference");
  CHECK(told[0].at > std::chrono::system_clock::now() - 1h);
  CHECK(c->unload("tiny").ok());
  wait_for("engine_ended", "tiny", 1);
  start();  // another node on the same port, which has a log of its own
  CHECK(c->load("tiny").ok());
  wait_for("engine_started", "tiny", 2);
}

TEST_CASE_FIXTURE(fixture, "a service with actors of its own takes the gate's typed handle") {
  struct system_config : caf::actor_system_config {
    system_config() {
      remote::add_wire_types(*this);
      load<caf::io::middleman>();
    }
  } own_config;
  caf::actor_system own(own_config);
  auto link = remote::gate_link::connect(own, options());
  if (!link) FAIL(to_string(link.error()));
  CHECK((*link)->welcome().principal == "client");
  const gate_actor gate = (*link)->gate();
  std::promise<std::string> text;
  auto service =
      own.spawn([&text, gate](wire_client_actor::pointer self) -> wire_client_actor::behavior_type {
        wire::request r;
        r.ticket = "one";
        r.prompt = "the prompt";
        r.sampling = {{"max_tokens", "20"}, {"seed", "7"}, {"ignore_eos", "true"}};
        self->request(gate, 10s, atom::submit_v, r).then([](const wire::accepted&) {});
        auto so_far = std::make_shared<std::string>();
        return {[self, gate, so_far](atom::chunk, const wire::chunk& x) {
                  *so_far += x.text;
                  self->send(gate, atom::ack_v, wire::ack{x.ticket, x.number});
                },
                [self, &text, so_far](atom::done, const wire::done&) {
                  text.set_value(*so_far);
                  self->quit();
                },
                [self, &text](atom::failed, const wire::failed& why) {
                  text.set_value(why.text);
                  self->quit();
                }};
      });
  CHECK(text.get_future().get() == connect()->generate(ask(20)).get()->text);
  caf::scoped_actor self{own};
  self->request(gate, 10s, atom::load_v, wire::model_name{"nobody's"})
      .receive([](const wire::model&) { FAIL("there is no such model"); },
               [](const caf::error& why) { CHECK(remote::failure_of(why).code == ec::not_found); });
  self->monitor(gate);
  aut = nullptr;
  bool is_down = false;
  self->receive([&](const caf::down_msg&) { is_down = true; });
  CHECK(is_down);
  auto nobody = options();
  nobody.certificate = dir.file("none");
  CHECK(remote::gate_link::connect(own, nobody).error().code == ec::io_error);
}

TEST_CASE("a certificate's name does not pass for another one's fingerprint") {
  const std::string print = "sha256:0123";
  const std::vector<std::string> listed{"ann", print};
  CHECK(listed_name(listed, {"ann", "sha256:99"}) == "ann");
  CHECK(listed_name(listed, {"bob", print}) == "bob");
  CHECK(listed_name(listed, {print, "sha256:99"}).empty());
  CHECK(listed_name(listed, {"bob", "sha256:99"}).empty());
}

TEST_CASE_FIXTURE(fixture, "names that no node can have are refused before anybody is called") {
  auto o = options();
  o.host = "";
  CHECK(remote::client::connect(o).error().text == "host is empty or too long");
  o = options();
  o.server_name = std::string(256, 'x');
  CHECK(remote::client::connect(o).error().text == "server_name is longer than 255 bytes");
}

TEST_CASE_FIXTURE(fixture, "without all of its files a node does not open its port") {
  const identity_paths paths(identity);
  for (const auto& path : {paths.node_certificate, paths.node_key, paths.ca_certificate}) {
    CAPTURE(path);
    std::filesystem::rename(path, path + ".away");
    node_hooks hooks;
    hooks.has_ports = true;
    const auto other = node::start(config, hooks);
    const auto opened = (*other)->serve();
    REQUIRE(!opened.ok());
    CHECK(opened.error().text.starts_with(path));
    std::filesystem::rename(path + ".away", path);
  }
}

TEST_CASE_FIXTURE(fixture, "another configuration cuts off those who may no longer come") {
  const auto c = connect();
  std::promise<void> lost;
  c->on_connection([&, told = false](bool is_there) mutable {
    if (!is_there && !std::exchange(told, true)) lost.set_value();
  });
  REQUIRE(c->models().ok());  // by now it is told
  auto next = config;
  next.engine.step_tokens = 1;  // fewer than engine.max_running
  CHECK(aut->reload(next).error().code == ec::invalid_argument);
  next = config;
  next.remote.clients = {"bob"};
  next.remote.address = "0.0.0.0";
  const auto stays = aut->reload(next);
  REQUIRE(stays.ok());
  CHECK(*stays == std::vector<std::string>{"remote.address"});
  CHECK(aut->config().remote.address == "127.0.0.1");
  lost.get_future().get();
  CHECK_FALSE(remote::client::connect(options()).ok());
  next.remote.clients = {"bob", "client"};
  REQUIRE(aut->reload(next).ok());
  CHECK(c->models().ok());  // it has come again
}

TEST_CASE_FIXTURE(fixture, "a port that is taken is said") {
  node_hooks hooks;
  hooks.has_ports = true;
  config.remote.port = port;
  const auto other = node::start(config, hooks);
  const auto opened = (*other)->serve();
  REQUIRE(!opened.ok());
  CHECK(opened.error().code == ec::io_error);
  CHECK(opened.error().text.find("remote.port " + std::to_string(port)) == 0);
}

TEST_CASE_FIXTURE(fixture, "a node that comes back is found again, and the answer goes on") {
  const auto whole = connect()->generate(ask(120)).get();
  REQUIRE(whole.ok());
  const auto c = connect();
  std::promise<void> began;
  std::promise<result<remote::done>> ended;
  std::string text;
  std::vector<bool> states;
  std::mutex mutex;
  c->on_connection([&](bool is_there) {
    const std::lock_guard lock(mutex);
    states.push_back(is_there);
  });
  bool first = true;
  c->generate(ask(120), {[&](const remote::chunk& x) {
                           text += x.text;
                           if (std::exchange(first, false)) began.set_value();
                         },
                         [&](const result<remote::done>& how) { ended.set_value(how); }});
  began.get_future().get();
  start();  // the old node is gone with all that it knew
  const auto end = ended.get_future().get();
  REQUIRE(end.ok());
  CHECK(text == whole->text);
  CHECK(c->models().ok());
}

TEST_CASE_FIXTURE(fixture, "a client that leaves takes its generations along") {
  auto c = connect();
  const auto watcher = connect();
  std::promise<void> began;
  std::promise<result<remote::done>> ended;
  bool first = true;
  c->generate(ask(240), {[&](const remote::chunk&) {
                           if (std::exchange(first, false)) began.set_value();
                         },
                         [&](const result<remote::done>& how) { ended.set_value(how); }});
  began.get_future().get();
  c = nullptr;
  const auto end = ended.get_future().get();
  CHECK((end.ok() || end.error().code == ec::cancelled));
  while (!watcher->processes()->empty()) {
  }
}

TEST_SUITE_END();
