#include "actors/process/process.hpp"

#include "actors/kernel/kernel.hpp"
#include "runtime/schedule/prompt.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

struct nothing {
  nothing() = default;
  static inline constexpr const char* name = "fake";
};

/// What the process asked of its neighbours, and how they shall answer.
struct world {
  std::vector<spec_ptr> enqueued;
  std::vector<std::string> scheduler_heard;  // "enqueue", "cancel"
  std::vector<ledger_entry> entered;         // in a ledger, by the process itself
  std::vector<process_info> updates;
  core_wiring rooms;
  std::vector<request_id> cancelled;
  std::vector<generation_report> reports;
  failure refuse_load, refuse_encode, refuse_enqueue;
  bool answer_load = true;
  engine_handles engine;
};

template <class T>
caf::result<T> answer(const failure& refusal, T value) {
  if (refusal.code != ec::none) return to_error(refusal);
  return value;
}

scheduler_actor::behavior_type fake_scheduler(scheduler_actor::stateful_pointer<nothing>,
                                              world* w) {
  return {
      [](atom::wire, const scheduler_wiring&) {},
      [w](atom::enqueue, const spec_ptr& s) -> caf::result<caf::ok_atom> {
        w->enqueued.push_back(s);
        w->scheduler_heard.push_back("enqueue");
        return answer(w->refuse_enqueue, caf::ok_atom_v);
      },
      [w](atom::cancel, request_id id) {
        w->cancelled.push_back(id);
        w->scheduler_heard.push_back("cancel");
      },
      [](atom::stats) { return scheduler_stats{}; },
      [](atom::done, const step_result_ptr&) {},
      [](atom::reserved, const reserve_reply&) {},
      [](atom::leased, const std::vector<block_id>&) {},
      [](atom::status) { return std::string{}; },
  };
}

tokenizer_actor::behavior_type fake_tokenizer(tokenizer_actor::stateful_pointer<nothing>,
                                              world* w) {
  return {
      [w](atom::encode, const request_ptr& r) -> caf::result<encoded_ptr> {
        if (w->refuse_encode.code != ec::none) return to_error(w->refuse_encode);
        return std::make_shared<const token_vector>(
            encode_prompt(*w->engine.loaded, *r, {}, 4096).value());
      },
      [](atom::status) { return std::string{}; },
  };
}

models_actor::behavior_type fake_models(models_actor::stateful_pointer<nothing> self, world* w) {
  return {
      [](atom::wire, const engine_host_actor&) {},
      [](atom::started, const engine_handles&) {},
      [](atom::failed, const engine_id&, const failure&) {},
      [=](atom::load, const std::string&) { return self->make_response_promise<engine_handles>(); },
      [=](atom::place, const std::string&) -> caf::result<engine_handles> {
        if (!w->answer_load) return self->make_response_promise<engine_handles>();
        return answer(w->refuse_load, w->engine);
      },
      [](atom::unload, const std::string&) { return caf::ok_atom_v; },
      [](atom::list) { return model_list{}; },
      [](atom::update, const config_ptr&) {},
      [](atom::status) { return std::string{}; },
  };
}

ledger_actor::behavior_type fake_ledger(ledger_actor::stateful_pointer<nothing>, world* w) {
  return {
      [w](atom::submit, const ledger_entry& e) { w->entered.push_back(e); },
      [w](atom::update, const process_info& i) { w->updates.push_back(i); },
      [](atom::ended, request_id) {},
      [](atom::ps) { return process_list{}; },
      [](atom::token, const token_batch_ptr&) {},
      [](atom::status) { return std::string{}; },
  };
}

monitor_actor::behavior_type fake_monitor(monitor_actor::stateful_pointer<nothing>, world* w) {
  return {
      [w](atom::done, const generation_report& r) { w->reports.push_back(r); },
      [](atom::failed, const std::string&) {},
      [](atom::happened, const node_event&) {},
      [](atom::watch, const log_position&, uint32_t) { return event_page{}; },
      [](atom::tick) {},
      [](atom::stats) { return metrics_ptr{}; },
      [](atom::step, const step_report&) {},
      [](atom::update, const memory_report&) {},
      [](atom::update, const load_report&) {},
      [](atom::ended, const engine_label&) {},
      [](atom::status) { return std::string{}; },
  };
}

loaded_model_ptr tiny() {
  static const auto loaded = [] {
    test::temp_dir dir;
    test::write_tiny_model(dir.file("tiny.gguf"));
    return load_model_file("tiny", dir.file("tiny.gguf")).value();
  }();
  return loaded;
}

struct fixture : test::deterministic_system {
  world w;
  test::client_log heard;
  scheduler_actor scheduler = sys.spawn(fake_scheduler, &w);
  tokenizer_actor tokenizer = sys.spawn(fake_tokenizer, &w);
  client_actor client = sys.spawn(test::fake_client, &heard);
  process_actor aut;
  std::shared_ptr<generate_request> ask = std::make_shared<generate_request>();

  fixture() {
    w.engine = {{"tiny.gguf", "cpu"}, "tiny", tokenizer, scheduler, tiny(), 4096};
    w.rooms = {sys.spawn(fake_models, &w), sys.spawn(fake_ledger, &w), sys.spawn(fake_monitor, &w)};
    ask->prompt = "abc";
    ask->sampling.max_tokens = 8;
  }
  ~fixture() {
    for (const auto& a :
         {caf::actor_cast<caf::actor>(scheduler), caf::actor_cast<caf::actor>(tokenizer),
          caf::actor_cast<caf::actor>(w.rooms.models), caf::actor_cast<caf::actor>(w.rooms.ledger),
          caf::actor_cast<caf::actor>(w.rooms.monitor), caf::actor_cast<caf::actor>(client),
          caf::actor_cast<caf::actor>(aut)}) {
      if (a) self->send_exit(a, caf::exit_reason::user_shutdown);
    }
    run();
    w.engine = {};
    w.rooms = {};
    w.entered.clear();
  }

  void start() {
    spawn();
    run();
  }
  void spawn() {
    process_args args;
    args.id = {7};
    args.request = ask;
    args.client = client;
    args.rooms = w.rooms;
    args.seed = 11;
    args.deadline_ms = 1000;
    aut = sys.spawn(llmos::process, args);
  }
  void token(uint32_t index, char c, stop_reason stop = stop_reason::none) {
    send_token(index, c, stop);
    run();
  }
  void send_token(uint32_t index, char c, stop_reason stop) {
    token_event e;
    e.id = {7};
    e.index = index;
    e.token.id = static_cast<token_id>(static_cast<unsigned char>(c)) + 3;
    e.stop = stop;
    self->send(aut, atom::token_v, e);
  }
  /// The supervisor's part when the ledger falls.
  void replace_ledger() {
    const auto old = w.rooms.ledger;
    w.rooms.ledger = sys.spawn(fake_ledger, &w);
    self->send_exit(old, caf::exit_reason::kill);
    self->send(aut, atom::wire_v, w.rooms);
    run();
  }
  bool over() {
    self->monitor(aut);
    run();
    bool down = false;
    self->receive([&](const caf::down_msg&) { down = true; }, caf::after(0ms) >> [] {});
    return down;
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.process");

TEST_CASE_FIXTURE(fixture, "text streams to the client and ends with one done") {
  start();
  REQUIRE(w.enqueued.size() == 1);
  CHECK(w.enqueued[0]->num_prompt == 3);
  CHECK(*w.enqueued[0]->sampling.seed == 11);
  token(0, 'h');
  token(1, 'i');
  CHECK(heard.text == "hi");
  token(2, '!', stop_reason::length);
  CHECK(heard.text == "hi!");
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.dones[0].reason == finish_reason::length);
  CHECK_FALSE(heard.dones[0].context_full);
  CHECK(heard.dones[0].usage.completion_tokens == 3);
  CHECK(heard.dones[0].usage.token_gaps.count() == 2);
  CHECK(heard.dones[0].seed == 11);
  CHECK(w.cancelled.empty());
  CHECK(over());
}

TEST_CASE_FIXTURE(fixture, "an answer that the context ended says so") {
  w.engine.context = 5;
  start();
  REQUIRE(w.enqueued.size() == 1);
  CHECK(w.enqueued[0]->sampling.max_tokens == 2);
  token(0, 'h');
  token(1, 'i', stop_reason::length);
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.dones[0].reason == finish_reason::length);
  CHECK(heard.dones[0].context_full);
}

TEST_CASE_FIXTURE(fixture, "a stop string ends the text before it and stops the engine") {
  ask->sampling.stop = {"END"};
  start();
  const std::string text = "one EN two END";
  for (uint32_t i = 0; i < text.size(); ++i) token(i, text[i]);
  CHECK(heard.text == "one EN two ");
  REQUIRE(heard.dones.size() == 1);
  CHECK(heard.dones[0].stop_string == "END");
  CHECK(w.cancelled.size() == 1);
}

TEST_CASE_FIXTURE(fixture,
                  "of several tokens of one step, none behind a stop string is passed on") {
  ask->sampling.stop = {"END"};
  ask->sampling.logprobs = true;
  start();
  const std::string text = "one END two";
  for (uint32_t i = 0; i < text.size(); ++i) {
    send_token(i, text[i], i + 1 == text.size() ? stop_reason::length : stop_reason::none);
  }
  run();
  CHECK(heard.text == "one ");
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.dones[0].stop_string == "END");
  CHECK(heard.dones[0].usage.completion_tokens == 7);
}

TEST_CASE_FIXTURE(fixture, "a cancel in any phase is one done with reason cancelled") {
  SUBCASE("while the model loads") {
    w.answer_load = false;
  }
  SUBCASE("while waiting") {}
  start();
  SUBCASE("while running") {
    token(0, 'a');
  }
  self->send(aut, atom::cancel_v);
  run();
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.dones[0].reason == finish_reason::cancelled);
  CHECK(w.cancelled.size() == w.enqueued.size());
  CHECK(over());
}

TEST_CASE_FIXTURE(fixture, "a refusal anywhere is one failed with its reason") {
  const failure why{ec::overloaded, "full", "wait"};
  SUBCASE("models") {
    w.refuse_load = why;
  }
  SUBCASE("tokenizer") {
    w.refuse_encode = why;
  }
  SUBCASE("scheduler") {
    w.refuse_enqueue = why;
  }
  start();
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.failures[0] == why);
  CHECK(w.cancelled.empty());
  REQUIRE(w.reports.size() == 1);
  CHECK(w.reports[0].outcome == "overloaded");
  CHECK(over());
}

TEST_CASE_FIXTURE(fixture, "parameters outside this vocabulary are refused") {
  ask->sampling.logit_bias = {{5000, 1.0f}};
  start();
  REQUIRE(heard.failures.size() == 1);
  CHECK(heard.failures[0].code == ec::invalid_argument);
}

TEST_CASE_FIXTURE(fixture, "the deadline ends a generation and stops the engine") {
  start();
  token(0, 'a');
  advance(999ms);
  CHECK(heard.num_terminal() == 0);
  advance(2ms);
  REQUIRE(heard.failures.size() == 1);
  CHECK(heard.failures[0].code == ec::deadline_exceeded);
  CHECK(w.cancelled.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a client that dies takes its generation along") {
  start();
  token(0, 'a');
  self->send_exit(client, caf::exit_reason::kill);
  run();
  CHECK(w.cancelled.size() == 1);
  CHECK(over());
}

TEST_CASE_FIXTURE(fixture, "after an engine's death the next one continues where the text stands") {
  start();
  token(0, 'a');
  token(1, 'b');
  const auto old = scheduler;
  scheduler = sys.spawn(fake_scheduler, &w);
  w.engine.scheduler = scheduler;
  self->send_exit(old, caf::exit_reason::kill);
  run();
  REQUIRE(w.enqueued.size() == 2);
  CHECK(w.enqueued[1]->num_prompt == 3);
  CHECK(w.enqueued[1]->tokens.size() == 5);
  token(1, 'b');
  token(2, 'c', stop_reason::length);
  CHECK(heard.text == "abc");
  CHECK(heard.num_terminal() == 1);
}

TEST_CASE_FIXTURE(fixture, "a gap in the tokens is submitted again, not passed on") {
  start();
  token(0, 'a');
  for (int gaps = 1; gaps < 10; ++gaps) {
    token(2, 'c');
    CHECK(heard.text == "a");
    REQUIRE(w.enqueued.size() == 1 + gaps);
    CHECK(w.enqueued.back()->tokens.size() == 4);
  }
  CHECK(w.cancelled.empty());
  CHECK(heard.num_terminal() == 0);
}

TEST_CASE_FIXTURE(fixture, "a new ledger gets the entry, the engine is asked for what comes next") {
  start();
  token(0, 'a');
  token(1, 'b');
  replace_ledger();
  REQUIRE(w.entered.size() == 1);
  CHECK(w.entered[0].info.id == request_id{7});
  CHECK(w.entered[0].info.state == "running");
  CHECK(w.entered[0].info.prompt_tokens == 3);
  CHECK(w.entered[0].info.generated_tokens == 2);
  CHECK(w.entered[0].process == aut);
  CHECK(w.entered[0].client == client);
  REQUIRE(w.enqueued.size() == 2);
  CHECK(w.enqueued[1]->tokens.size() == 5);
  CHECK(w.updates.back().state == "waiting");
  token(2, 'c');
  CHECK(w.updates.back().state == "running");
  replace_ledger();
  token(3, 'd', stop_reason::length);
  CHECK(w.entered.size() == 2);
  CHECK(heard.text == "abcd");
  CHECK(heard.num_terminal() == 1);
}

TEST_CASE_FIXTURE(fixture, "while it waits for its model a process only enters itself anew") {
  w.answer_load = false;
  start();
  replace_ledger();
  REQUIRE(w.entered.size() == 1);
  CHECK(w.entered[0].info.state == "loading");
  CHECK(w.enqueued.empty());
  CHECK(heard.num_terminal() == 0);
}

TEST_CASE_FIXTURE(fixture, "rooms that are as they were change nothing") {
  start();
  token(0, 'a');
  self->send(aut, atom::wire_v, w.rooms);
  run();
  CHECK(w.entered.empty());
  CHECK(w.enqueued.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a node that stops ends the process once, with the node's reason") {
  const failure why{ec::shutting_down, "the node is stopping", ""};
  start();
  SUBCASE("by word") {
    self->send(aut, atom::failed_v, why);
  }
  SUBCASE("by its scheduler's end") {
    self->send_exit(scheduler, to_error(why));
  }
  SUBCASE("by both") {
    self->send_exit(scheduler, to_error(why));
    self->send(aut, atom::failed_v, why);
  }
  run();
  REQUIRE(heard.num_terminal() == 1);
  CHECK(heard.failures[0] == why);
  CHECK(over());
}

TEST_CASE_FIXTURE(fixture, "a new model manager is asked for what the old one did not answer") {
  SUBCASE("lost in silence") {
    w.answer_load = false;
    start();
  }
  SUBCASE("returned unread") {
    self->send_exit(w.rooms.models, caf::exit_reason::kill);
    run();
    start();
  }
  CHECK(w.enqueued.empty());
  w.answer_load = true;
  self->send_exit(w.rooms.models, caf::exit_reason::kill);
  w.rooms.models = sys.spawn(fake_models, &w);
  self->send(aut, atom::wire_v, w.rooms);
  run();
  CHECK(w.enqueued.size() == 1);
  CHECK(heard.num_terminal() == 0);
}

TEST_CASE_FIXTURE(fixture, "a model manager that fell is replaced before it is needed again") {
  start();
  token(0, 'a');
  self->send_exit(w.rooms.models, caf::exit_reason::kill);
  w.rooms.models = sys.spawn(fake_models, &w);
  self->send(aut, atom::wire_v, w.rooms);
  const auto old = scheduler;
  w.engine.scheduler = scheduler = sys.spawn(fake_scheduler, &w);
  self->send_exit(old, caf::exit_reason::kill);
  run();
  CHECK(w.enqueued.size() == 2);
  CHECK(heard.num_terminal() == 0);
}

TEST_CASE_FIXTURE(fixture, "an engine that dies at any moment is followed by the next") {
  bool more = true;
  int moment = 0;
  for (; more; ++moment) {
    CAPTURE(moment);
    heard = {};
    spawn();
    for (int i = 0; i < moment && more; ++i) more = sched.try_run_once();
    self->send_exit(scheduler, caf::exit_reason::kill);
    self->send_exit(tokenizer, caf::exit_reason::kill);
    w.engine.scheduler = scheduler = sys.spawn(fake_scheduler, &w);
    w.engine.tokenizer = tokenizer = sys.spawn(fake_tokenizer, &w);
    run();
    token(0, 'a', stop_reason::length);
    CHECK(heard.text == "a");
    CHECK(heard.failures.empty());
    CHECK(heard.dones.size() == 1);
  }
  CHECK(moment > 8);
}

TEST_CASE_FIXTURE(fixture, "a token that comes late from a dead engine does not hold up the next") {
  bool more = true;
  int moment = 0;
  for (; more; ++moment) {
    CAPTURE(moment);
    heard = {};
    start();
    token(0, 'a');
    self->send_exit(scheduler, caf::exit_reason::kill);
    w.engine.scheduler = scheduler = sys.spawn(fake_scheduler, &w);
    w.enqueued.clear();
    for (int i = 0; i < moment && more; ++i) more = sched.try_run_once();
    token(1, 'b');
    REQUIRE(w.enqueued.size() == 1);
    token(2, 'c', stop_reason::length);
    CHECK(heard.text == "abc");
    CHECK(heard.num_terminal() == 1);
  }
  CHECK(moment > 4);
}

TEST_CASE_FIXTURE(fixture, "a cancel at any moment does not overtake the enqueue it is meant for") {
  bool more = true;
  for (int moment = 0; more; ++moment) {
    CAPTURE(moment);
    heard = {};
    w.scheduler_heard.clear();
    spawn();
    for (int i = 0; i < moment && more; ++i) more = sched.try_run_once();
    self->send(aut, atom::cancel_v);
    run();
    if (!w.scheduler_heard.empty()) {
      CHECK(w.scheduler_heard == std::vector<std::string>{"enqueue", "cancel"});
    }
    CHECK(heard.num_terminal() == 1);
  }
  CHECK(!w.scheduler_heard.empty());
}

TEST_CASE_FIXTURE(fixture, "an ended process is remembered by nobody whom it watched") {
  start();
  token(0, 'a', stop_reason::length);
  CHECK(heard.num_terminal() == 1);
  const auto block = caf::actor_cast<caf::strong_actor_ptr>(aut);
  CHECK(block->weak_refs == 1);  // the one that its handles share
}

TEST_CASE_FIXTURE(fixture, "an unloaded model fails its generations") {
  start();
  self->send_exit(scheduler, caf::exit_reason::user_shutdown);
  run();
  REQUIRE(heard.failures.size() == 1);
  CHECK(heard.failures[0].text == "the model tiny was unloaded");
}

TEST_SUITE_END();
