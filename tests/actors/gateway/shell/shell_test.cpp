#include "actors/gateway/shell/shell.hpp"

#include <deque>

#include "tests/support/deterministic_system.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

/// Writes everything down: answers as they are, the rest with a mark and on lines of its own.
struct recorded_output : shell_output {
  std::string text;
  std::vector<next> readies;
  void answer(std::string_view x) override { text += x; }
  void print(std::string_view x) override { text += "print: " + std::string{x}; }
  void note(std::string_view x) override { text += "note: " + std::string{x}; }
  void error(const failure& x) override { text += "error: " + to_string(x) + "\n"; }
  void ready(next x) override { readies.push_back(x); }
};

/// What a fake kernel was asked and what it says.
struct kernel_script {
  std::vector<request_ptr> requests;
  std::vector<uint64_t> cancels;
  std::vector<std::string> loads;
  client_actor client;
  uint64_t next_id = 1;
  std::optional<failure> refusal;  ///< Of every request from now on.
  bool hold = false;               ///< Replies come with the next `drain`.
  std::deque<std::function<void()>> held;
};

struct fake_kernel_state {
  fake_kernel_state() = default;
  static inline constexpr const char* name = "fake-kernel";
};

template <class T>
caf::result<T> answer(kernel_actor::stateful_pointer<fake_kernel_state> self, kernel_script* s,
                      T value) {
  if (s->refusal) return to_error(*s->refusal);
  if (!s->hold) return value;
  auto promise = self->make_response_promise<T>();
  s->held.push_back([promise, value]() mutable { promise.deliver(value); });
  return promise;
}

metrics_ptr three_steps() {
  metrics_registry metrics;
  metrics.declare(metric_kind::counter, "llmos_steps_total", "Steps.");
  metrics.add("llmos_steps_total", 3);
  return std::make_shared<const metrics_snapshot>(metrics.snapshot());
}

kernel_actor::behavior_type fake_kernel(kernel_actor::stateful_pointer<fake_kernel_state> self,
                                        kernel_script* s) {
  return {
      [](atom::wire, const kernel_wiring&) { FAIL("the shell wires nobody"); },
      [=](atom::submit, const request_ptr& r, const client_actor& c) {
        s->requests.push_back(r);
        s->client = c;
        return answer(self, s, request_id{s->next_id++});
      },
      [=](atom::cancel, request_id id) -> caf::result<caf::ok_atom> {
        s->cancels.push_back(id.value);
        if (s->refusal) return to_error(*s->refusal);
        return caf::ok_atom_v;
      },
      [=](atom::ps) {
        return answer(self, s, process_list{{{9}, "local", "m", "running", 1, 2, 3}});
      },
      [=](atom::load, const std::string& model) {
        s->loads.push_back(model);
        return answer(self, s, model_status{"Big", "/big.gguf", "loaded", "llama", 10, false});
      },
      [=](atom::unload, const std::string&) { return answer(self, s, caf::ok_atom_v); },
      [=](atom::list) {
        return answer(self, s, model_list{{"tiny", "/t", "loaded", "", 1, true}});
      },
      [=](atom::stats) { return answer(self, s, three_steps()); },
      [](atom::health) { return node_health{}; },
      [](atom::watch, const log_position&, uint32_t) { return event_page{}; },
      [](atom::open, const std::string&) { return model_view{}; },
      [](atom::update, const config_ptr&) {},
      [](atom::encode, const request_ptr&) { return encoded_ptr{}; },
      [=](atom::drain, bool) -> caf::result<caf::ok_atom> {  // the shell never sends it
        for (auto& f : std::exchange(s->held, {})) f();
        return caf::ok_atom_v;
      },
      [](atom::status) { return std::string{}; },
  };
}

node_config test_config() {
  node_config out;
  out.models.default_model = "tiny";
  out.kernel.deadline_ms = 1000;
  return out;
}

struct fixture : test::deterministic_system {
  using next = shell_output::next;

  kernel_script script;
  std::shared_ptr<recorded_output> out = std::make_shared<recorded_output>();
  kernel_actor kernel = sys.spawn(fake_kernel, &script);
  shell_actor aut = sys.spawn(shell, test_config(), out);

  fixture() { wire(); }
  ~fixture() {
    script.client = nullptr;
    script.held.clear();
    self->send_exit(aut, caf::exit_reason::user_shutdown);
    self->send_exit(kernel, caf::exit_reason::user_shutdown);
    run();
  }

  void wire() {
    self->send(aut, atom::wire_v, kernel);
    run();
  }
  void type(const std::string& line) {
    self->send(aut, atom::submit_v, line);
    run();
  }
  void release() { request<caf::ok_atom>(kernel, atom::drain_v, false); }
  void press_ctrl_c() {
    self->send(aut, atom::cancel_v);
    run();
  }
  void chunk(uint64_t id, const std::string& text) {
    self->send(aut, atom::chunk_v, text_chunk{{id}, text, {}});
    run();
  }
  void done(uint64_t id, finish_reason reason = finish_reason::stop) {
    generation_done d;
    d.id = {id};
    d.reason = reason;
    d.usage = {31, 16, 42, 90'000, 500'000};
    self->send(aut, atom::done_v, d);
    run();
  }
  void fail(uint64_t id, const failure& why) {
    self->send(aut, atom::failed_v, request_id{id}, why);
    run();
  }
  /// A whole turn.
  void chat(const std::string& question, const std::string& reply) {
    type(question);
    chunk(script.next_id - 1, reply);
    done(script.next_id - 1);
  }

  /// What was said since the last call.
  std::string heard() { return std::exchange(out->text, ""); }
  bool is_ready() { return !std::exchange(out->readies, {}).empty(); }
  std::string sent() const {
    std::string all;
    for (const auto& m : script.requests.back()->messages) {
      all +=
          m["role"].get<std::string>().substr(0, 1) + ":" + m["content"].get<std::string>() + " ";
    }
    return all;
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.shell");

TEST_CASE_FIXTURE(fixture, "an answer streams, and the next question brings all of it along") {
  type("Hi");
  CHECK_FALSE(is_ready());
  CHECK(script.requests[0]->model == "tiny");
  chunk(1, "Hel");
  CHECK(heard() == "Hel");
  chunk(1, "lo");
  done(1);
  CHECK(heard() == "lo\n");
  CHECK(out->readies == std::vector{next::prompt});
  type("And?");
  CHECK(sent() == "u:Hi a:Hello u:And? ");
}

TEST_CASE_FIXTURE(fixture, "an answer that ends its line gets no empty one") {
  chat("Hi", "Hello\n");
  CHECK(heard() == "Hello\n");
}

TEST_CASE_FIXTURE(fixture, "how an answer ended and its timing are said when there is a reason") {
  type("/set timing on");
  CHECK(heard().empty());
  type("Hi");
  chunk(1, "Hello");
  done(1, finish_reason::length);
  CHECK(heard() ==
        "Hello\nnote: [cut after 42 tokens: /set max_tokens N allows more]\n[42 tokens, 100.0 "
        "tokens/s, first after 0.09 s; prompt 31 tokens, 16 of them cached]\n");
  type("/set timing off");
  type("Hi");
  done(2);
  CHECK(heard() == "note: [no answer]\n");
}

TEST_CASE_FIXTURE(fixture, "words that overtake the kernel's reply are not lost") {
  script.hold = true;
  type("Hi");
  chunk(7, "someone else's");
  chunk(1, "Hello");
  done(1);
  CHECK(heard().empty());
  release();
  CHECK(heard() == "Hello\n");
  CHECK(is_ready());
}

TEST_CASE_FIXTURE(fixture, "Ctrl-C stops the answer, keeps what came, and the shell goes on") {
  type("Hi");
  chunk(1, "Hel");
  press_ctrl_c();
  CHECK(script.cancels == std::vector<uint64_t>{1});
  CHECK_FALSE(is_ready());
  done(1, finish_reason::cancelled);
  CHECK(heard() == "Hel\nnote: [stopped]\n");
  CHECK(is_ready());
  type("And?");
  CHECK(sent() == "u:Hi a:Hel u:And? ");
}

TEST_CASE_FIXTURE(fixture, "Ctrl-C before the kernel has replied stops the answer too") {
  script.hold = true;
  type("Hi");
  press_ctrl_c();
  CHECK(script.cancels.empty());
  release();
  CHECK(script.cancels == std::vector<uint64_t>{1});
  done(1, finish_reason::cancelled);
  CHECK(heard() == "note: [stopped]\n");
  CHECK(is_ready());
  type("And?");
  CHECK(sent() == "u:And? ");
}

TEST_CASE_FIXTURE(fixture, "a second Ctrl-C waits no longer, and what still comes is dropped") {
  type("Hi");
  chunk(1, "Hel");
  press_ctrl_c();
  press_ctrl_c();
  CHECK(is_ready());
  CHECK(heard() == "Hel\nnote: [stopped waiting for the end of the answer]\n");
  type("And?");
  chunk(1, "lo");
  done(1, finish_reason::cancelled);
  CHECK_FALSE(is_ready());
  CHECK(heard().empty());
  chunk(2, "Yes");
  done(2);
  CHECK(heard() == "Yes\n");
}

TEST_CASE_FIXTURE(fixture, "Ctrl-C at the prompt drops an open block and says nothing") {
  type("\"\"\"");
  CHECK(out->readies == std::vector{next::more});
  press_ctrl_c();
  chat("Hi", "Hello");
  CHECK(heard() == "Hello\n");
  CHECK(sent() == "u:Hi ");
}

TEST_CASE_FIXTURE(fixture, "Ctrl-C ends the waiting for a command") {
  script.hold = true;
  type("/load Big");
  press_ctrl_c();
  CHECK(heard() == "print: [no longer waiting]\n");
  CHECK(is_ready());
  release();
  CHECK(heard().empty());
  CHECK_FALSE(is_ready());
}

TEST_CASE_FIXTURE(fixture, "an error of the kernel is said and the question taken back") {
  script.refusal = {ec::overloaded, "too many requests", "retry in a second"};
  type("Hi");
  CHECK(heard() == "error: overloaded: too many requests (retry in a second)\n");
  CHECK(is_ready());
  script.refusal.reset();
  type("/regen");
  CHECK(sent() == "u:Hi ");
}

TEST_CASE_FIXTURE(fixture, "a conversation that is too long names the commands that help") {
  chat("one", "first");
  heard();
  type("two");
  fail(2, {ec::over_context, "9000 tokens, the context has 8192", "shorten it"});
  CHECK(heard() ==
        "error: over_context: 9000 tokens, the context has 8192 (/clear forgets the conversation, "
        "/set max_tokens N asks for a shorter answer; then /regen)\n");
  type("/clear");
  type("/regen");
  CHECK(sent() == "u:two ");
}

TEST_CASE_FIXTURE(fixture, "an answer that fails on its way keeps its text") {
  type("Hi");
  chunk(1, "Hel");
  fail(1, {ec::engine_failed, "the engine died", "see the log"});
  CHECK(heard() == "Hel\nerror: engine_failed: the engine died (see the log)\n");
  type("And?");
  CHECK(sent() == "u:Hi a:Hel u:And? ");
}

TEST_CASE_FIXTURE(fixture, "a kernel that dies costs one error, and the next one is used") {
  script.hold = true;
  type("Hi");
  script.held.clear();
  self->send_exit(kernel, caf::exit_reason::kill);
  run();
  CHECK(heard() == "error: internal: the kernel failed (try again)\n");
  CHECK(is_ready());
  script.hold = false;
  kernel = sys.spawn(fake_kernel, &script);
  wire();
  chat("Hi", "Hello");
  CHECK(heard() == "Hello\n");
}

TEST_CASE_FIXTURE(fixture, "a kernel that dies during an answer does not end it") {
  type("Hi");
  chunk(1, "Hel");
  self->send_exit(kernel, caf::exit_reason::kill);
  run();
  chunk(1, "lo");
  done(1);
  CHECK(heard() == "Hello\n");
}

TEST_CASE_FIXTURE(fixture, "a cancel that fails ends the waiting with its error") {
  type("Hi");
  script.refusal = {ec::internal, "no ledger", ""};
  press_ctrl_c();
  CHECK(heard() == "error: internal: no ledger\n");
  CHECK(is_ready());
}

TEST_CASE_FIXTURE(fixture, "a cancel that finds nothing waits for the end that is on the way") {
  type("Hi");
  chunk(1, "Hello");
  script.refusal = {ec::not_found, "no process 1", ""};
  press_ctrl_c();
  CHECK_FALSE(is_ready());
  done(1);
  CHECK(heard() == "Hello\n");
}

TEST_CASE_FIXTURE(fixture, "an answer that never ends is given up after its deadline") {
  type("Hi");
  advance(60s);
  CHECK_FALSE(is_ready());
  advance(2s);
  CHECK(heard() == "error: deadline_exceeded: the answer never ended (/regen asks again)\n");
  CHECK(is_ready());
}

TEST_CASE_FIXTURE(fixture, "a kernel that does not reply is given up") {
  script.hold = true;
  type("/ps");
  advance(31s);
  CHECK(heard().starts_with("error: deadline_exceeded"));
  CHECK(is_ready());
}

TEST_CASE_FIXTURE(fixture, "without a kernel every question and command is an error") {
  kernel_actor none;
  self->send(aut, atom::wire_v, none);
  for (const auto* line : {"Hi", "/ps", "/load x", "/kill 1"}) {
    type(line);
    CHECK(heard() == "error: shutting_down: the node has stopped (start llmos again)\n");
    CHECK(is_ready());
  }
}

TEST_CASE_FIXTURE(fixture, "another answer is asked for without the last one") {
  chat("one", "first");
  type("/regen");
  CHECK(sent() == "u:one ");
  chunk(2, "second");
  done(2);
  CHECK(heard() == "first\nsecond\n");
  type("two");
  CHECK(sent() == "u:one a:second u:two ");
}

TEST_CASE_FIXTURE(fixture, "each command is done and the shell is ready again") {
  const test::temp_dir folder;
  const auto file = folder.write("notes.txt", "some notes");
  struct row {
    std::string line;
    std::string want;  // the start of what is said
  };
  const row table[] = {
      {"/help", "print: /help  (/?)"},
      {"/set", "print: timing              off\n"},
      {"/set seed", "print: seed = null\n"},
      {"/set seed 7", ""},
      {"/set sed 7", "error: invalid_argument: /set: unknown key \"sed\" (did you mean seed?)"},
      {"/set seed x", "error: invalid_argument: seed: "},
      {"/show", "print: model: tiny\nsystem: (the model's own)\nturns: 0\ntiming"},
      {"/show model", "print: tiny\n"},
      {"/show history", "print: (nothing was said yet)\n"},
      {"/show all", "error: invalid_argument: /show: nothing is called all"},
      {"/system Be kind.", ""},
      {"/show system", "print: Be kind.\n"},
      {"/system \"\"\"two", ""},
      {"lines\"\"\"", ""},
      {"/show system", "print: two\nlines\n"},
      {"/system", ""},
      {"/show system", "print: (the model's own)\n"},
      {"/clear", ""},
      {"/regen", "error: invalid_argument: there is no answer"},
      {"/models", "print:    NAME"},
      {"/ps", "print: ID  STATE"},
      {"/stats", "print: METRIC             VALUE\nllmos_steps_total      3\n"},
      {"/kill 9", "print: 9 is ended\n"},
      {"/kill x", "error: invalid_argument: /kill: x is no id (/ps lists the ids)"},
      {"/kill -1", "error: invalid_argument: /kill: -1 is no id"},
      {"/load Big", "print: Big (llama, 10 B) is ready\n"},
      {"/show model", "print: Big\n"},
      {"/unload Big", "print: Big is unloaded\n"},
      {"/save " + folder.file("a.md"), "print: wrote 0 messages to "},
      {"/save " + folder.file("a.txt"), "error: invalid_argument: /save: "},
      {"/read " + folder.file("none"), "error: not_found: "},
      {"/reed x", "error: invalid_argument: unknown command /reed (did you mean /read?"},
      {"", ""},
      {"\"\"\" \"\"\"", ""},
      {"\xff", "error: invalid_argument: the input is not valid UTF-8 (byte 1)"},
  };
  for (const auto& r : table) {
    CAPTURE(r.line);
    type(r.line);
    const auto said = heard();
    CAPTURE(said);
    CHECK((r.want.empty() ? said.empty() : said.starts_with(r.want)));
    CHECK(out->readies.size() == 1);
    is_ready();
  }
  CHECK(script.cancels == std::vector<uint64_t>{9});
  CHECK(script.requests.empty());
  type("/read " + file);
  CHECK(sent() == "u:some notes ");
  chunk(1, "x");
  done(1);
  CHECK(script.requests.back()->sampling.seed == 7);
  type("/read " + file + " What is this?");
  CHECK(sent() == "u:some notes a:x u:What is this?\n\nsome notes ");
}

TEST_CASE_FIXTURE(fixture, "a model that cannot be loaded leaves the old one in use") {
  script.refusal = {ec::not_found, "no model 'x'", "known: tiny"};
  type("/load x");
  CHECK(heard() == "error: not_found: no model 'x' (known: tiny)\n");
  script.refusal.reset();
  type("Hi");
  CHECK(script.requests.back()->model == "tiny");
}

TEST_CASE_FIXTURE(fixture, "the first model is loaded before the first question") {
  self->send(aut, atom::load_v, std::string{});
  run();
  CHECK(script.loads == std::vector<std::string>{"tiny"});
  CHECK(heard() == "print: Big (llama, 10 B) is ready\n");
  CHECK(is_ready());
}

TEST_CASE_FIXTURE(fixture, "leaving is a word of its own") {
  type("/exit");
  CHECK(out->readies == std::vector{next::leave});
}

TEST_CASE_FIXTURE(fixture, "a second input while one is answered is refused") {
  type("Hi");
  type("And?");
  CHECK(heard() == "error: overloaded: the shell is busy (wait for the answer, or Ctrl-C)\n");
  CHECK(script.requests.size() == 1);
  done(1);
  CHECK(out->readies.size() == 1);
}

TEST_SUITE_END();
