#include "actors/models/models.hpp"

#include <filesystem>
#include <memory>
#include <optional>

#include "actors/engine/scheduler/scheduler.hpp"
#include "runtime/backend/registry.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"

using namespace llmos;

namespace {

/// A host that answers the load of some number when the test tells it to.
using told_host_actor = caf::typed_actor<
    caf::replies_to<atom::load, std::string, loaded_model_ptr, engine_plan>::with<engine_handles>,
    caf::replies_to<atom::unload, std::string>::with<caf::ok_atom>,
    caf::reacts_to<atom::started, uint64_t, engine_handles>,
    caf::reacts_to<atom::failed, uint64_t, failure>>;
struct fake_host_state {
  fake_host_state() = default;
  static inline constexpr const char* name = "fake-host";
};
struct host_log {
  std::vector<caf::typed_response_promise<engine_handles>> loads;
  std::vector<std::string> backends;  // of the loads
  std::vector<loaded_model_ptr> models;
  std::vector<std::string> unloads;
};
told_host_actor::behavior_type fake_host(told_host_actor::stateful_pointer<fake_host_state> self,
                                         host_log* log) {
  return {
      [=](atom::load, const std::string&, const loaded_model_ptr& m, const engine_plan& plan) {
        log->backends.push_back(plan.backend);
        log->models.push_back(m);
        log->loads.push_back(self->make_response_promise<engine_handles>());
        return log->loads.back();
      },
      [=](atom::unload, const std::string& key) {
        log->unloads.push_back(key);
        return caf::ok_atom_v;
      },
      [=](atom::started, uint64_t i, const engine_handles& e) { log->loads.at(i).deliver(e); },
      [=](atom::failed, uint64_t i, const failure& why) {
        log->loads.at(i).deliver(to_error(why));
      },
  };
}

struct fixture : test::deterministic_system {
  test::temp_dir folder;
  std::string path = std::filesystem::canonical(folder.file("")).string() + "/tiny.gguf";
  host_log heard;
  told_host_actor host = sys.spawn(fake_host, &heard);
  models_actor aut;
  std::vector<scheduler_actor> started;

  fixture() {
    test::write_tiny_model(path);
    use_memory(0, 0);
  }
  /// Starts MODELS anew with that memory limit and KV memory for each engine.
  void use_memory(uint64_t limit_bytes, uint64_t kv_bytes) {
    node_config config;
    config.kernel.memory_limit_bytes = limit_bytes;
    config.engine.kv_bytes = kv_bytes;
    use(config);
  }
  /// Starts MODELS anew with an engine of each model on each of these.
  void use_backends(const std::string& list) {
    node_config config;
    config.engine.backend = list;
    use(config);
  }
  void use(node_config config) {
    if (aut) self->send_exit(aut, caf::exit_reason::user_shutdown);
    config.models.folder = folder.file("");
    aut = sys.spawn(models, config, false);
    self->send(aut, atom::wire_v, engine_host_actor{host});
    run();
  }
  ~fixture() {
    heard.loads.clear();
    for (const auto& s : started) self->send_exit(s, caf::exit_reason::kill);
    self->send_exit(aut, caf::exit_reason::user_shutdown);
    self->send_exit(host, caf::exit_reason::user_shutdown);
  }

  auto ask_load() {
    auto pending = self->request(aut, caf::infinite, atom::load_v, "tiny");
    return pending;
  }
  template <class Pending>
  ec error_of(Pending& pending) {
    ec out = ec::none;
    pending.receive([](engine_handles&) {}, [&](caf::error& e) { out = to_failure(e).code; });
    return out;
  }
  template <class Pending>
  engine_handles engine_of(Pending& pending) {
    engine_handles out;
    pending.receive([&](engine_handles& e) { out = e; },
                    [&](caf::error& e) { FAIL(sys.render(e)); });
    return out;
  }
  engine_handles make_engine(const std::string& device = "cpu") {
    engine_handles e;
    e.id = {path, device};
    e.model = "tiny";
    if (!heard.models.empty()) e.loaded = heard.models.back();
    e.scheduler = sys.spawn(scheduler, engine_label{"tiny", device}, scheduler_limits{});
    return e;
  }
  /// Load number i of the host succeeds, with an engine on that device.
  engine_handles start(uint64_t i, const std::string& device) {
    const auto e = make_engine(device);
    self->send(host, atom::started_v, i, e);
    run();
    started.push_back(e.scheduler);
    return e;
  }
  std::string state() { return request<model_list>(aut, atom::list_v).at(0).state; }
};

/// A kind that auto prefers while there are devices of it.
int num_quick_devices = 0;
void add_quick_device() {
  if (backends().find("quick").ok()) return;  // of a case before
  backends().add({"quick",
                  [](uint32_t, std::shared_ptr<const model>,
                     const backend_limits&) -> result<std::unique_ptr<backend>> {
                    return failure{ec::unsupported, "pretended", ""};
                  },
                  [](uint32_t, const model&, const backend_limits&) -> result<backend_memory> {
                    return backend_memory{.weight_bytes = 1, .kv_bytes = 1};
                  },
                  [](uint32_t) { return result<uint64_t>(uint64_t{1} << 30); },
                  [](uint32_t) { return result<double>(1e18); },
                  [] { return static_cast<uint32_t>(num_quick_devices); }});
}

/// Actors that ask for a place as processes do.
class users {
public:
  explicit users(fixture& f) : f_(f) {}
  /// One more asks.
  void ask() {
    all_.push_back(std::make_unique<user>(f_.sys));
    ask_again(all_.size() - 1);
  }
  void ask_again(size_t i) {
    auto& u = *all_.at(i);
    u.answer.emplace(u.self->request(f_.aut, caf::infinite, atom::place_v, "tiny"));
    f_.run();
  }
  /// Where user i was put; "" when it has no answer yet.
  std::string device(size_t i) {
    auto& u = *all_.at(i);
    if (!u.self->has_next_message()) return "";
    return f_.engine_of(*u.answer).id.device;
  }
  /// It ends.
  void leave(size_t i) {
    all_.at(i).reset();
    f_.run();
  }

private:
  struct user {
    explicit user(caf::actor_system& sys) : self(sys) {}
    caf::scoped_actor self;
    std::optional<decltype(self->request(models_actor{}, caf::infinite, atom::place_v,
                                         std::string{}))>
        answer;
  };
  fixture& f_;
  std::vector<std::unique_ptr<user>> all_;
};

}  // namespace

TEST_SUITE("actors.models") {
  TEST_CASE_FIXTURE(fixture, "a load that was given up leaves the next one of its file alone") {
    for (const bool stands : {false, true}) {
      CAPTURE(stands);
      heard.loads.clear();
      auto first = ask_load();
      run();
      REQUIRE(heard.loads.size() == 1);
      request<caf::ok_atom>(aut, atom::unload_v, "tiny");
      CHECK(error_of(first) == ec::cancelled);
      auto second = ask_load();
      run();
      REQUIRE(heard.loads.size() == 2);
      const auto old = make_engine(), fresh = make_engine();
      if (stands) {
        self->send(host, atom::started_v, uint64_t{0}, old);
      } else {
        self->send(host, atom::failed_v, uint64_t{0}, failure{ec::cancelled, "unloaded", ""});
      }
      run();
      CHECK(state() == "loading");
      self->send(host, atom::started_v, uint64_t{1}, fresh);
      run();
      CHECK(engine_of(second).scheduler == fresh.scheduler);
      CHECK(state() == "loaded");
      request<caf::ok_atom>(aut, atom::unload_v, "tiny");
      CHECK(state() == "on disk");
      for (const auto& e : {old, fresh}) self->send_exit(e.scheduler, caf::exit_reason::kill);
      run();
    }
  }

  TEST_CASE_FIXTURE(fixture, "what a loaded engine may still take is not planned twice") {
    constexpr uint64_t half = 4ull << 30;  // nothing is allocated: the host is a fake
    use_memory(half * 3 / 2, half);
    test::write_tiny_model(folder.file("other.gguf"));
    const auto load_other = [this] {
      auto pending = self->request(aut, caf::infinite, atom::load_v, "other");
      run();
      return pending;
    };
    auto first = ask_load();
    run();
    REQUIRE(heard.loads.size() == 1);
    auto while_it_starts = load_other();
    CHECK(error_of(while_it_starts) == ec::out_of_memory);
    auto engine = make_engine();
    engine.memory.kv_bytes = half;
    self->send(host, atom::started_v, uint64_t{0}, engine);
    run();
    static_cast<void>(engine_of(first));
    auto beside_it = load_other();
    CHECK(error_of(beside_it) == ec::out_of_memory);
    CHECK(heard.loads.size() == 1);
    request<caf::ok_atom>(aut, atom::unload_v, "tiny");
    static_cast<void>(load_other());
    CHECK(heard.loads.size() == 2);
    self->send_exit(engine.scheduler, caf::exit_reason::kill);
    run();
  }

  TEST_CASE_FIXTURE(fixture, "a file that is still being read is unloaded at once") {
    auto first = ask_load();
    REQUIRE(sched.try_run_once());  // the reader waits to be run
    request<caf::ok_atom>(aut, atom::unload_v, "tiny");
    CHECK(error_of(first) == ec::cancelled);
    CHECK(heard.loads.empty());
    CHECK(heard.unloads.empty());
    CHECK(state() == "on disk");
  }

  TEST_CASE_FIXTURE(fixture, "an engine outlives its file and can be unloaded") {
    auto first = ask_load();
    run();
    const auto engine = make_engine();
    self->send(host, atom::started_v, uint64_t{0}, engine);
    run();
    CHECK(engine_of(first).scheduler == engine.scheduler);
    std::filesystem::remove(path);
    for (const std::string name : {"tiny", path.c_str()}) {
      CHECK(request<engine_handles>(aut, atom::load_v, name).scheduler == engine.scheduler);
    }
    request<caf::ok_atom>(aut, atom::unload_v, path);
    CHECK(heard.unloads == std::vector{path});
    CHECK(request_error<engine_handles>(aut, atom::load_v, path).code == ec::not_found);
    self->send_exit(engine.scheduler, caf::exit_reason::kill);
    run();
  }

  TEST_CASE_FIXTURE(fixture,
                    "an engine that fell too often is forgotten, and can be loaded again") {
    auto first = ask_load();
    run();
    const auto engine = make_engine();
    self->send(host, atom::started_v, uint64_t{0}, engine);
    run();
    static_cast<void>(engine_of(first));
    self->send_exit(engine.scheduler, caf::exit_reason::kill);
    run();
    CHECK(state() == "restarting");
    auto waiting = ask_load();
    run();
    self->send(aut, atom::failed_v, engine_id{path, "cpu"},
               failure{ec::engine_failed, "it fell", ""});
    run();
    CHECK(error_of(waiting) == ec::engine_failed);
    auto again = ask_load();
    run();
    CHECK(heard.loads.size() == 2);
    self->send(aut, atom::failed_v, engine_id{path, "cpu"},
               failure{ec::engine_failed, "late news", ""});
    run();
    const auto fresh = make_engine();
    self->send(host, atom::started_v, uint64_t{1}, fresh);
    run();
    CHECK(engine_of(again).scheduler == fresh.scheduler);
    self->send_exit(fresh.scheduler, caf::exit_reason::kill);
    run();
  }

  TEST_CASE_FIXTURE(fixture, "an engine that its device lost goes on on the CPU") {
    for (const bool news_first : {true, false}) {
      CAPTURE(news_first);
      heard.loads.clear();
      heard.backends.clear();
      auto first = ask_load();
      run();
      auto engine = make_engine();
      engine.on_device = true;
      engine.loaded = heard.models.back();
      self->send(host, atom::started_v, uint64_t{0}, engine);
      run();
      static_cast<void>(engine_of(first));
      const auto end_scheduler = [&] {
        self->send_exit(engine.scheduler, caf::exit_reason::kill);
        run();
      };
      if (!news_first) end_scheduler();
      auto waiting = ask_load();
      self->send(aut, atom::failed_v, engine_id{path, "cpu"},
                 failure{ec::engine_failed, "it fell", ""});
      run();
      if (news_first) end_scheduler();
      CHECK(heard.backends == std::vector<std::string>{"cpu", "cpu"});
      CHECK(state() == "loading");
      auto later = ask_load();
      const auto on_cpu = make_engine();
      self->send(host, atom::started_v, uint64_t{1}, on_cpu);
      run();
      if (!news_first) CHECK(engine_of(waiting).scheduler == on_cpu.scheduler);
      CHECK(engine_of(later).scheduler == on_cpu.scheduler);
      self->send_exit(on_cpu.scheduler, caf::exit_reason::kill);
      run();
      self->send(aut, atom::failed_v, engine_id{path, "cpu"},
                 failure{ec::engine_failed, "it fell too", ""});
      run();
      CHECK(state() == "on disk");
    }
  }

  TEST_CASE_FIXTURE(fixture, "requests are spread over the engines of a model") {
    use_backends("cpu, reference");
    users u{*this};
    for (int i = 0; i < 3; ++i) u.ask();
    CHECK(heard.backends == std::vector<std::string>{"cpu", "reference"});
    start(1, "reference");
    CHECK(u.device(0) == "");  // all get their share when all stand
    CHECK(state() == "loaded");
    start(0, "cpu");
    CHECK(u.device(0) == "cpu");
    CHECK(u.device(1) == "reference");
    CHECK(u.device(2) == "cpu");
    u.leave(0);
    u.leave(2);
    u.ask();
    CHECK(u.device(3) == "cpu");
    u.ask_again(3);  // it is not counted twice
    CHECK(u.device(3) == "cpu");
    u.ask();
    CHECK(u.device(4) == "cpu");
    u.ask();
    CHECK(u.device(5) == "reference");
    CHECK(request<model_list>(aut, atom::list_v)
              .at(0)
              .description.ends_with(", on cpu and reference"));
  }

  TEST_CASE_FIXTURE(fixture, "a model goes on with the engines that it has left") {
    for (const bool refused : {true, false}) {
      CAPTURE(refused);
      heard.loads.clear();
      heard.backends.clear();
      use_backends("cpu,reference");
      users u{*this};
      u.ask();
      const auto why = failure{ec::engine_failed, "no power", ""};
      if (refused) {
        self->send(host, atom::failed_v, uint64_t{1}, why);
        run();
        CHECK(u.device(0) == "");
        start(0, "cpu");
      } else {
        start(0, "cpu");
        const auto lost = start(1, "reference");
        self->send_exit(lost.scheduler, caf::exit_reason::kill);
        run();
        CHECK(state() == "loaded");
        self->send(aut, atom::failed_v, lost.id, why);
        run();
      }
      CHECK(u.device(0) == "cpu");
      u.ask();
      CHECK(u.device(1) == "cpu");
      CHECK(heard.backends.size() == 2);
    }
  }

  TEST_CASE_FIXTURE(fixture, "who ran before a model was unloaded does not count afterwards") {
    use_backends("cpu,reference");
    users u{*this};
    for (int i = 0; i < 2; ++i) u.ask();
    start(0, "cpu");
    start(1, "reference");
    CHECK(u.device(0) + u.device(1) == "cpureference");
    request<caf::ok_atom>(aut, atom::unload_v, "tiny");
    for (int i = 0; i < 2; ++i) u.ask();
    u.leave(0);
    start(2, "cpu");
    start(3, "reference");
    CHECK(u.device(2) + u.device(3) == "cpureference");
    u.leave(1);
    u.ask();
    CHECK(u.device(4) == "cpu");
  }

  TEST_CASE_FIXTURE(fixture, "a device that is listed twice is refused") {
    use_backends("cpu,reference,cpu");
    auto pending = ask_load();
    run();
    CHECK(error_of(pending) == ec::invalid_argument);
    CHECK(heard.loads.empty());
  }

  TEST_CASE_FIXTURE(fixture, "where auto meant a device that refuses, the CPU is taken") {
    add_quick_device();
    num_quick_devices = 1;
    auto pending = ask_load();
    run();
    num_quick_devices = 0;
    CHECK(heard.backends == std::vector<std::string>{"quick:0"});
    self->send(host, atom::failed_v, uint64_t{0}, failure{ec::out_of_memory, "it is full", ""});
    run();
    CHECK(heard.backends == std::vector<std::string>{"quick:0", "cpu"});
    CHECK(state() == "loading");
    const auto engine = start(1, "cpu");
    CHECK(engine_of(pending).scheduler == engine.scheduler);
  }

  TEST_CASE_FIXTURE(fixture, "what an engine will take of its device is not planned twice") {
    add_quick_device();  // 1 GiB is free on it, and it never tells of less
    num_quick_devices = 1;
    node_config config;
    config.engine.backend = "quick:0";
    config.engine.kv_bytes = 600u << 20;
    use(config);
    test::write_tiny_model(folder.file("other.gguf"));
    const auto load_other = [this] {
      auto pending = self->request(aut, caf::infinite, atom::load_v, "other");
      run();
      return pending;
    };
    auto first = ask_load();
    run();
    REQUIRE(heard.backends == std::vector<std::string>{"quick:0"});
    auto while_it_starts = load_other();
    CHECK(error_of(while_it_starts) == ec::out_of_memory);
    auto engine = make_engine("quick:0");
    engine.on_device = true;
    engine.memory.kv_bytes = config.engine.kv_bytes;
    self->send(host, atom::started_v, uint64_t{0}, engine);
    run();
    static_cast<void>(engine_of(first));
    static_cast<void>(load_other());  // from now on the device tells what is left
    CHECK(heard.backends.size() == 2);
    request<caf::ok_atom>(aut, atom::unload_v, "other");
    self->send_exit(engine.scheduler, caf::exit_reason::kill);  // it will be started again
    run();
    auto while_it_starts_again = load_other();
    CHECK(error_of(while_it_starts_again) == ec::out_of_memory);
    num_quick_devices = 0;
  }

  TEST_CASE_FIXTURE(fixture, "an engine that was unloaded just when it stood again is forgotten") {
    auto first = ask_load();
    run();
    const auto engine = start(0, "cpu");
    static_cast<void>(engine_of(first));
    request<caf::ok_atom>(aut, atom::unload_v, "tiny");
    self->send(aut, atom::started_v, engine);  // it was on its way
    run();
    CHECK(state() == "loaded");
    self->send_exit(engine.scheduler, caf::exit_reason::user_shutdown);
    run();
    CHECK(state() == "on disk");
    auto again = ask_load();
    run();
    CHECK(heard.loads.size() == 2);
    static_cast<void>(start(1, "cpu"));
    CHECK(engine_of(again).id.device == "cpu");
  }
}
