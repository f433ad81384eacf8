#include "actors/gateway/remote/gate.hpp"

#include <memory>

#include "tests/support/whole_node.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// A client from outside, and what it was sent.
struct outsider {
  explicit outsider(caf::actor_system& sys)
      : self(std::make_unique<caf::scoped_actor>(sys, true)) {}

  std::unique_ptr<caf::scoped_actor> self;
  std::string text;
  std::vector<uint64_t> numbers;  ///< Of all events.
  std::vector<wire::done> dones;
  std::vector<wire::failed> failures;

  size_t num_events() const { return numbers.size(); }
  /// Takes what has come.
  void read() {
    while (self != nullptr && (*self)->has_next_message()) {
      (*self)->receive(
          [this](atom::chunk, const wire::chunk& e) {
            text += e.text;
            numbers.push_back(e.number);
          },
          [this](atom::done, const wire::done& e) {
            numbers.push_back(e.number);
            dones.push_back(e);
          },
          [this](atom::failed, const wire::failed& e) {
            numbers.push_back(e.number);
            failures.push_back(e);
          });
    }
  }
};

/// A gate in front of a whole node. All actors are of one process here, so who is behind a message
/// is what the test says.
struct fixture : test::whole_node {
  node_config config;
  std::string who = "ann";
  int num_cuts = 0;
  gate_room_actor aut_gate;
  std::vector<std::unique_ptr<outsider>> outsiders;

  fixture() {
    config.remote.window_bytes = 1024;
    config.remote.operators = {"op"};
    spawn_gate();
  }
  ~fixture() {
    outsiders.clear();
    self->send_exit(aut_gate, caf::exit_reason::user_shutdown);
    aut_gate = nullptr;
    settle();
  }
  void spawn_gate() {
    spawn_early_gate();
    settle();
  }
  /// One that does not know its kernel yet.
  void spawn_early_gate() {
    gate_args args{config, aut, [this](const caf::node_id&) { return who; },
                   [this](const caf::node_id&) { ++num_cuts; }, [](uint64_t) {}};
    if (aut_gate) self->send_exit(aut_gate, caf::exit_reason::user_shutdown);
    aut_gate = sys.spawn(gate, std::move(args));
  }

  /// One that said hello.
  outsider& come() {
    auto& x = come_silently();
    REQUIRE(say<wire::welcome>(x, atom::hello_v, wire::hello{}).ok());
    return x;
  }
  outsider& come_silently() {
    outsiders.push_back(std::make_unique<outsider>(sys));
    return *outsiders.back();
  }
  void leave(outsider& x) {
    x.self = nullptr;
    settle();
  }

  /// Sends to the gate and waits for the answer; `deliver` lets it come about.
  template <class Answer, class Atom, class What, class Deliver>
  result<Answer> say(outsider& x, Atom atom, const What& what, const Deliver& deliver) {
    auto asked = (*x.self)->request(aut_gate, caf::infinite, atom, what);
    deliver();
    std::optional<result<Answer>> out;
    asked.receive([&](Answer& a) { out.emplace(std::move(a)); },
                  [&](const caf::error& e) { out.emplace(to_failure(e)); });
    x.read();
    return std::move(*out);
  }
  template <class Answer, class Atom, class What>
  result<Answer> say(outsider& x, Atom atom, const What& what) {
    return say<Answer>(x, atom, what, [this] { settle(); });
  }
  /// No more than it takes until the generation runs.
  void start(outsider& x, const wire::request& r) {
    REQUIRE(say<wire::accepted>(x, atom::submit_v, r, [&] {
              while (!(*x.self)->has_next_message()) REQUIRE(step());
            }).ok());
  }
  void acknowledge(outsider& x, const std::string& ticket, uint64_t number) {
    (*x.self)->send(aut_gate, atom::ack_v, wire::ack{ticket, number});
    settle();
    x.read();
  }
  /// Acknowledges until nothing more comes.
  void read_all(outsider& x, const std::string& ticket) {
    for (size_t before = SIZE_MAX; before != x.num_events();) {
      before = x.num_events();
      if (before > 0) acknowledge(x, ticket, x.numbers.back());
    }
  }

  static wire::request ask(const std::string& ticket, uint32_t max_tokens, uint32_t keep_ms = 0) {
    wire::request r;
    r.ticket = ticket;
    r.prompt = "the prompt";
    r.keep_ms = keep_ms;
    r.sampling = {
        {"max_tokens", std::to_string(max_tokens)}, {"seed", "7"}, {"ignore_eos", "true"}};
    return r;
  }
  size_t num_live() { return peek<process_list>(kernel(), atom::ps_v)->size(); }
  std::string status() { return peek<std::string>(aut_gate, atom::status_v).value(); }
};

std::vector<uint64_t> numbers_to(uint64_t n) {
  std::vector<uint64_t> out;
  for (uint64_t i = 1; i <= n; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.remote.gate");

TEST_CASE_FIXTURE(fixture, "hello comes first, in a version that the node speaks") {
  auto& x = come_silently();
  CHECK(say<wire::accepted>(x, atom::submit_v, ask("t", 5)).error().text ==
        "the first message of a connection is hello");
  CHECK(say<wire::models>(x, atom::list_v, wire::query{}).error().code == ec::invalid_argument);
  const auto newer = say<wire::welcome>(x, atom::hello_v, wire::hello{2, 0, "", {}});
  CHECK(newer.error().code == ec::unsupported);
  CHECK(newer.error().text == "this node speaks version 1 of the protocol, the client 2");
  const auto welcome = say<wire::welcome>(x, atom::hello_v, wire::hello{1, 99, "test", {"x"}});
  CHECK(welcome->principal == "ann");
  CHECK(welcome->window_bytes == 1024);
  CHECK(say<wire::models>(x, atom::list_v, wire::query{})->all.at(0).name == "tiny");
  who = "";
  CHECK(say<wire::welcome>(x, atom::hello_v, wire::hello{}).error().code == ec::internal);
}

TEST_CASE_FIXTURE(fixture, "a generation comes as it comes inside the node") {
  auto& inside = exchanges.emplace_back(std::make_unique<test::exchange>());
  auto request = std::make_shared<generate_request>();
  request->prompt = "the prompt";
  request->sampling.max_tokens = 30;
  request->sampling.seed = 7;
  request->sampling.ignore_eos = true;
  clients.push_back(sys.spawn(test::asker, kernel(), request_ptr(request), inside.get()));
  settle();
  auto& x = come();
  CHECK_FALSE(say<wire::accepted>(x, atom::submit_v, ask("t", 30))->resumed);
  read_all(x, "t");
  CHECK(x.text == inside->log.text);
  REQUIRE(x.dones.size() == 1);
  CHECK(x.dones[0].reason == "length");
  CHECK(x.dones[0].seed == 7);
  CHECK(x.dones[0].completion_tokens == 30);
  CHECK(x.dones[0].cached_tokens == 0);  // not of another tenant's prefix
  CHECK(x.numbers == numbers_to(x.num_events()));
  CHECK(status() == "connections=1 streams=0 parked=0");
}

TEST_CASE_FIXTURE(fixture, "what is not acknowledged is a window at most") {
  auto& x = come();
  REQUIRE(say<wire::accepted>(x, atom::submit_v, ask("a", 100)).ok());
  REQUIRE(say<wire::accepted>(x, atom::submit_v, ask("b", 100)).ok());
  const auto first = x.num_events();
  CHECK(first > 2);
  CHECK(first < 40);  // of about 200: a window for both
  acknowledge(x, "a", 1);
  CHECK(x.num_events() > first);
  CHECK(num_cuts == 0);
  acknowledge(x, "a", 99);  // was never sent
  CHECK(num_cuts == 1);
}

TEST_CASE_FIXTURE(fixture, "who reads nothing is cut off, and costs little until then") {
  config.remote.stall_ms = 5000;
  spawn_gate();
  auto& x = come();
  REQUIRE(say<wire::accepted>(x, atom::submit_v, ask("a", 200)).ok());
  advance(4s);
  CHECK(num_cuts == 0);
  for (int i = 0; i < 3; ++i) advance(1s);
  CHECK(num_cuts == 1);
  advance(1s);
  CHECK(num_cuts == 1);
  leave(x);  // as the end of its connection has it
  CHECK(status().find("streams=0") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a client that comes back goes on behind what it has") {
  auto& all = come();
  REQUIRE(say<wire::accepted>(all, atom::submit_v, ask("all", 60)).ok());
  read_all(all, "all");
  auto& first = come();
  REQUIRE(say<wire::accepted>(first, atom::submit_v, ask("t", 60, 10000)).ok());
  acknowledge(first, "t", 1);
  REQUIRE(first.num_events() > 4);
  const auto text = all.text;
  leave(first);
  CHECK(status().find("parked=1") != std::string::npos);
  advance(9s);
  auto& second = come();
  auto again = ask("t", 60, 10000);
  again.received = 0;
  CHECK(say<wire::accepted>(second, atom::submit_v, again).error().code ==
        ec::invalid_argument);  // the first event is gone: it was acknowledged
  again.received = 3;
  CHECK(say<wire::accepted>(second, atom::submit_v, again)->resumed);
  read_all(second, "t");
  CHECK(second.numbers.front() == 4);
  REQUIRE(second.dones.size() == 1);
  CHECK(text.ends_with(second.text));
  CHECK(second.text.size() < text.size());
  CHECK(status().find("streams=0") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "one that does not come back loses its generation") {
  struct row {
    uint32_t keep_ms;
    std::chrono::seconds after;
    size_t live;
  };
  for (const row& r : {row{0, 0s, 0}, row{5000, 3s, 1}, row{5000, 7s, 0}}) {
    CAPTURE(r.keep_ms);
    CAPTURE(r.after.count());
    auto& x = come();
    start(x, ask("t", 200, r.keep_ms));
    x.self = nullptr;
    // Enough for the gate to hear of it and the kernel of that, not for 200 tokens.
    step(60);
    for (auto left = r.after; left > 0s; left -= 1s) {
      sched.clock().advance_time(1s);
      step(20);
    }
    CHECK(num_live() == r.live);
    settle();
    for (int i = 0; i < 7; ++i) advance(1s);
  }
}

TEST_CASE_FIXTURE(fixture, "a ticket is its principal's own") {
  config.remote.window_bytes = 256 << 10;  // one node here: a window for both
  spawn_gate();
  auto& x = come();
  REQUIRE(say<wire::accepted>(x, atom::submit_v, ask("t", 60, 10000)).ok());
  const auto events = x.num_events();
  who = "bob";
  auto& y = come();
  auto mine = ask("t", 5);
  CHECK_FALSE(say<wire::accepted>(y, atom::submit_v, mine)->resumed);
  CHECK(say<caf::ok_atom>(y, atom::cancel_v, wire::cancel{"u"}).error().code == ec::not_found);
  read_all(y, "t");
  CHECK(y.dones.at(0).completion_tokens == 5);
  CHECK(x.num_events() == events);
  mine.ticket = "u";
  mine.received = 4;
  CHECK(say<wire::accepted>(y, atom::submit_v, mine).error().code == ec::not_found);
}

TEST_CASE_FIXTURE(fixture, "a cancelled generation says so") {
  auto& x = come();
  start(x, ask("t", 200));
  REQUIRE(say<caf::ok_atom>(x, atom::cancel_v, wire::cancel{"t"}).ok());
  read_all(x, "t");
  REQUIRE(x.dones.size() == 1);
  CHECK(x.dones[0].reason == "cancelled");
  CHECK(x.dones[0].completion_tokens < 200);
  CHECK(say<caf::ok_atom>(x, atom::cancel_v, wire::cancel{"t"}).error().code == ec::not_found);
}

TEST_CASE_FIXTURE(fixture, "what cannot be served is refused by name") {
  auto& x = come();
  const auto error_of = [&](const wire::request& r) {
    const auto answer = say<wire::accepted>(x, atom::submit_v, r);
    return answer ? std::string{} : answer.error().text;
  };
  auto r = ask("t", 5);
  r.sampling.push_back({"temprature", "1"});
  CHECK(error_of(r) == "sampling: unknown key \"temprature\"");
  r = ask("t", 5);
  r.sampling.push_back({"top_p", "7"});
  CHECK(error_of(r).find("top_p") != std::string::npos);
  r = ask("", 5);
  CHECK(error_of(r) == "ticket: 1 to 128 bytes are expected");
  r = ask("t", 5);
  r.messages = "[]";
  CHECK(error_of(r) == "prompt: either a prompt or messages are expected");
  r.prompt = "";
  r.messages = "{";
  CHECK(error_of(r).starts_with("messages:1:2"));
  r.messages = "{}";
  CHECK(error_of(r) == "messages: a JSON array is expected");
  r = ask("t", 5);
  r.model = dir.file("tiny.gguf");  // a path: it exists, which is nobody's business
  CHECK(error_of(r).starts_with("no model \"/"));
  r = ask("t", 5);
  r.model = "none";
  REQUIRE(error_of(r).empty());  // known only later
  REQUIRE(x.failures.size() == 1);
  CHECK(x.failures[0].code == "not_found");
  CHECK(x.failures[0].ticket == "t");
}

TEST_CASE_FIXTURE(fixture, "only operators see and change what is not theirs") {
  auto& x = come();
  CHECK(say<wire::metrics>(x, atom::stats_v, wire::query{}).error().hint ==
        "remote.operators lists who may");
  auto urgent = ask("urgent", 5);
  urgent.priority = -1;
  CHECK(say<wire::accepted>(x, atom::submit_v, urgent).error().text == "ann may not do that here");
  urgent.priority = 1;
  CHECK(say<wire::accepted>(x, atom::submit_v, urgent).ok());
  CHECK(say<wire::model>(x, atom::load_v, wire::model_name{"tiny"}).error().code ==
        ec::invalid_argument);
  CHECK(say<caf::ok_atom>(x, atom::unload_v, wire::model_name{"tiny"}).error().code ==
        ec::invalid_argument);
  auto& y = come();
  start(x, ask("t", 200));
  const auto soon = [&] {
    while (!(*y.self)->has_next_message()) REQUIRE(step());
  };
  const auto greet = [&](outsider& z) {
    REQUIRE(say<wire::welcome>(z, atom::hello_v, wire::hello{}, soon).ok());
  };
  const auto num_seen = [&] {
    return say<wire::processes>(y, atom::ps_v, wire::query{}, soon)->all.size();
  };
  CHECK(num_seen() == 1);
  who = "bob";
  greet(y);
  CHECK(num_seen() == 0);
  const auto id = peek<process_list>(kernel(), atom::ps_v)->at(0).id.value;
  CHECK(say<caf::ok_atom>(y, atom::cancel_v, wire::kill{id}, soon).error().text ==
        "no process " + std::to_string(id));
  who = "op";
  greet(y);
  CHECK(num_seen() == 1);
  CHECK(say<caf::ok_atom>(y, atom::cancel_v, wire::kill{id}, soon).ok());
  const auto metrics = say<wire::metrics>(y, atom::stats_v, wire::query{});
  REQUIRE(metrics.ok());
  CHECK(metrics->bounds.size() == latency_histogram::num_bounds);
  const auto requests = std::find_if(metrics->all.begin(), metrics->all.end(), [](const auto& m) {
    return m.name == "llmos_requests_total";
  });
  REQUIRE(requests != metrics->all.end());
  CHECK(requests->kind == "counter");
  CHECK(requests->all.size() == 2);  // what was urgent has ended, and what was killed
  urgent.ticket = "more urgent";
  urgent.priority = -1;
  CHECK(say<wire::accepted>(y, atom::submit_v, urgent).ok());
  CHECK(say<wire::model>(x, atom::load_v, wire::model_name{"tiny"})->state == "loaded");
}

TEST_CASE_FIXTURE(fixture, "everybody may see how the node is") {
  auto& x = come();
  auto& y = come();  // to whom only answers come
  const auto soon = [&] {
    while (!(*y.self)->has_next_message()) REQUIRE(step());
  };
  const auto look = [&] { return say<wire::status>(y, atom::status_v, wire::query{}, soon); };
  CHECK(look()->processes == 0);
  for (const char* ticket : {"a", "b", "c"}) start(x, ask(ticket, 200));
  auto s = look();
  while (s->waiting + s->running < 3 || s->running < 2) s = look();
  CHECK(s->state == "ready");
  CHECK(s->processes == 3);
  CHECK(s->max_processes == 3);
  CHECK(s->running == 2);  // as many as the engine may
  CHECK(s->used_blocks > 0);
  CHECK(s->all_blocks > s->used_blocks);
  send_request<caf::ok_atom>(
      aut, [](auto) {}, atom::drain_v, false);
  while (look()->state != "draining") continue;
}

TEST_CASE_FIXTURE(fixture, "who watches hears what happens to the node, each thing once") {
  auto& x = come();
  const auto watch = [&](uint64_t log, uint64_t number, uint32_t wait_ms = 0) {
    return say<wire::events>(x, atom::watch_v, wire::watch{log, number, wait_ms});
  };
  const auto kinds = [](const wire::events& page) {
    std::string out;
    for (const auto& e : page.all) out += e.kind + " " + e.subject + ", ";
    return out;
  };
  const auto begin = watch(0, ~uint64_t{0});
  REQUIRE(begin.ok());
  CHECK(begin->all.empty());  // from now on
  start(x, ask("t", 5));
  settle();
  const auto first = watch(begin->log, begin->number);
  CHECK(kinds(*first) == "engine_started tiny, ");
  CHECK(first->all.at(0).text == "on reference");
  CHECK(first->all.at(0).number == first->number);

  // One that waits is told with the event, not before.
  auto asked = (*x.self)->request(aut_gate, caf::infinite, atom::watch_v,
                                  wire::watch{first->log, first->number, 20000});
  settle();
  CHECK_FALSE((*x.self)->has_next_message());
  kill(rooms().ledger);
  settle();
  wire::events second;
  asked.receive([&](const wire::events& page) { second = page; },
                [](const caf::error& e) { FAIL(to_failure(e).text); });
  CHECK(kinds(second) == "room_restarted ledger, ");
  CHECK(kinds(*watch(0, 0)) == kinds(*first) + kinds(second));  // all that is remembered

  // After a monitor's fall there is another log, all of which is news.
  kill(rooms().monitor);
  settle();
  const auto third = watch(second.log, second.number);
  CHECK(kinds(*third) == "room_restarted monitor, ");
  CHECK(third->log != second.log);
}

TEST_CASE_FIXTURE(fixture, "a watch ends after its time, and few wait on one connection") {
  auto& x = come();
  const auto now = say<wire::events>(x, atom::watch_v, wire::watch{0, 0, 0});
  const wire::watch what{now->log, now->number, 5000};
  std::vector<decltype((*x.self)->request(aut_gate, caf::infinite, atom::watch_v, what))> open;
  for (int i = 0; i < 4; ++i) {
    open.push_back((*x.self)->request(aut_gate, caf::infinite, atom::watch_v, what));
  }
  const auto refused = say<wire::events>(x, atom::watch_v, what);
  CHECK(refused.error().code == ec::overloaded);
  advance(4s);
  CHECK_FALSE((*x.self)->has_next_message());
  advance(2s);
  for (auto& one : open) {
    one.receive([&](const wire::events& page) { CHECK(page.number == what.number); },
                [](const caf::error& e) { FAIL(to_failure(e).text); });
  }
  CHECK(say<wire::events>(x, atom::watch_v, wire::watch{}).ok());
}

TEST_CASE_FIXTURE(fixture, "who has a node's id after another says hello, and is nobody else") {
  who = "op";
  auto& x = come();
  const auto load = [&] { return say<wire::model>(x, atom::load_v, wire::model_name{"tiny"}); };
  CHECK(load().ok());
  for (const char* other : {"bob", ""}) {
    who = other;
    CHECK(load().error().text == "the first message of a connection is hello");
    CHECK(say<wire::accepted>(x, atom::submit_v, ask("t", 5)).error().code == ec::invalid_argument);
  }
  who = "bob";
  REQUIRE(say<wire::welcome>(x, atom::hello_v, wire::hello{}).ok());
  CHECK(load().error().text == "bob may not do that here");
}

TEST_CASE_FIXTURE(fixture, "who asks before the gate knows its kernel waits for it") {
  spawn_early_gate();
  auto& x = come_silently();
  auto greeting = (*x.self)->request(aut_gate, caf::infinite, atom::hello_v, wire::hello{});
  auto question = (*x.self)->request(aut_gate, caf::infinite, atom::list_v, wire::query{});
  settle();
  const auto failed = [](const caf::error& e) { FAIL(to_failure(e).text); };
  greeting.receive([](const wire::welcome& w) { CHECK(w.principal == "ann"); }, failed);
  question.receive([](const wire::models& all) { CHECK(all.all.size() == 1); }, failed);
}

TEST_CASE_FIXTURE(fixture, "a gate goes on with the next kernel") {
  auto& x = come();
  const auto old = kernel();
  kill(old);
  settle();
  REQUIRE(say<wire::accepted>(x, atom::submit_v, ask("t", 5)).ok());
  read_all(x, "t");
  CHECK(x.dones.at(0).completion_tokens == 5);
}

TEST_SUITE_END();
