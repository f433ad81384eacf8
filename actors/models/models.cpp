#include "actors/models/models.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "actors/error.hpp"
#include "actors/models/loader.hpp"
#include "actors/timed_request.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

constexpr std::chrono::minutes load_timeout{30};

/// A path as a log line may hold it.
std::string printable_path(const std::string& path) {
  return printable(path, 4096);
}

std::string describe(const loaded_model& m) {
  const auto& hp = m.weights->hp;
  return std::string{to_string(hp.arch)} + ", " + std::to_string(hp.n_layers) + " layers, width " +
         std::to_string(hp.n_embd) + ", context " + std::to_string(hp.n_ctx_train);
}

}  // namespace

/// The file that is meant. One that was removed while its engine runs is still known by its engine.
result<model_file> models_state::find(const std::string& model) const {
  auto file = find_model_file(config, model);
  if (file) return file;
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(model, error).string();
  for (const auto& [key, e] : entries_) {
    if (e.name == model || (!error && key == path)) return model_file{e.name, key, 0};
  }
  return file;
}

caf::result<engine_handles> models_state::load(const std::string& model) {
  return ask(model, {});
}

caf::result<engine_handles> models_state::place(const std::string& model) {
  const auto process = caf::actor_cast<caf::actor_addr>(self->current_sender());
  process_left(process);  // the engine that it had before
  return ask(model, process);
}

caf::result<engine_handles> models_state::ask(const std::string& model,
                                              const caf::actor_addr& process) {
  const auto file = find(model);
  if (!file) return to_error(file.error());
  const auto [it, fresh] = entries_.try_emplace(file->path);
  auto& e = it->second;
  auto* best = best_of(e);
  if (best != nullptr && e.waiters.empty()) return hand_out(*best, process);
  e.waiters.push_back({self->make_response_promise<engine_handles>(), process});
  auto promise = e.waiters.back().promise;
  if (fresh) {
    e.name = file->name;
    e.load = ++num_loads_;
    start_reading(file->path);
  }
  return promise;
}

/// Of the engines that run the one with the least to do; nothing when none runs.
models_state::replica* models_state::best_of(entry& mine) {
  std::vector<replica*> running;
  std::vector<engine_load> loads;
  for (auto& [device, r] : mine.replicas) {
    if (r.state != replica::phase::loaded) continue;
    running.push_back(&r);
    loads.push_back(r.load);
  }
  return running.empty() ? nullptr : running[least_loaded(loads)];
}

engine_handles models_state::hand_out(replica& from, const caf::actor_addr& process) {
  if (process) {
    ++from.load.num_users;
    users_.insert_or_assign(process, place_of_user{from.engine.id, from.instance});
    self->monitor(process);
  }
  return from.engine;
}

void models_state::process_left(const caf::actor_addr& process) {
  const auto it = users_.find(process);
  if (it == users_.end()) return;
  self->demonitor(process);
  auto* engine = find_replica(it->second.engine);
  if (engine != nullptr && engine->instance == it->second.instance) --engine->load.num_users;
  users_.erase(it);
}

/// Once every engine of the model has started or was refused, so that all get their share.
void models_state::serve_waiters(entry& mine) {
  const bool wait = std::any_of(mine.replicas.begin(), mine.replicas.end(), [](const auto& r) {
    return r.second.state == replica::phase::starting;
  });
  if (wait || best_of(mine) == nullptr) return;
  for (auto& w : std::exchange(mine.waiters, {})) {
    w.promise.deliver(hand_out(*best_of(mine), w.process));
  }
}

void models_state::start_reading(const std::string& path) {
  const auto& e = entries_.at(path);
  spdlog::info("loading {}", printable_path(path));
  const auto reader = detached ? self->spawn<caf::detached>(loader) : self->spawn(loader);
  timed_request(self, reader, load_timeout, atom::load_v, e.name, path)
      .then([this, path, load = e.load](
                const loaded_model_ptr& m) { start_engines(path, load, m, config.engine.backend); },
            [this, path, load = e.load](caf::error& why) {
              load_failed(path, load, to_failure(why));
            });
}

/// The entry of that load, or nothing when it was unloaded meanwhile.
models_state::entry* models_state::find_load(const std::string& path, uint64_t load) {
  const auto it = entries_.find(path);
  return it != entries_.end() && it->second.load == load ? &it->second : nullptr;
}

models_state::replica* models_state::find_replica(const engine_id& id) {
  const auto mine = entries_.find(id.path);
  if (mine == entries_.end()) return nullptr;
  const auto it = mine->second.replicas.find(id.device);
  return it == mine->second.replicas.end() ? nullptr : &it->second;
}

models_state::replica& models_state::add_replica(entry& mine, const std::string& device) {
  auto& r = mine.replicas[device] = {};
  r.instance = ++num_replicas_;
  return r;
}

void models_state::start_engines(const std::string& path, uint64_t load, const loaded_model_ptr& m,
                                 const std::string& backend) {
  auto* mine = find_load(path, load);
  if (mine == nullptr) return;
  mine->model = m;
  auto placed = config;
  placed.engine.backend = backend;
  const auto room = measure_room(config.kernel.memory_limit_bytes, promised_bytes());
  const auto plans = plan_engines(*m->weights, placed, room, promised_on_devices());
  if (!plans) return load_failed(path, load, plans.error());
  for (const auto& plan : *plans) start_engine(path, load, plan);
}

void models_state::start_engine(const std::string& path, uint64_t load, const engine_plan& plan) {
  auto& mine = entries_.at(path);
  if (!plan.note.empty()) spdlog::warn("{}: {}", printable_path(mine.name), plan.note);
  auto& r = add_replica(mine, plan.backend);
  r.on_device = plan.on_device;
  promise_all(r, plan.memory);
  timed_request(self, host, load_timeout, atom::load_v, path, mine.model, plan)
      .then(
          [this, path, load](const engine_handles& e) {
            if (find_load(path, load) != nullptr) set_engine(e);
          },
          [this, id = engine_id{path, plan.backend}, load](caf::error& e) {
            engine_refused(id, load, to_failure(e));
          });
}

/// One that starts gets its own answer: what is told meanwhile is of an engine before it.
void models_state::engine_started(const engine_handles& e) {
  auto& mine = entries_[e.id.path];
  if (mine.load != 0 && mine.replicas.empty()) return;  // it is being read
  const auto known = mine.replicas.find(e.id.device);
  if (known != mine.replicas.end()) {
    const auto& r = known->second;
    if (r.state == replica::phase::starting || r.engine.scheduler == e.scheduler) return;
  }
  set_engine(e);
}

/// Of one that starts.
void models_state::promise_all(replica& r, const backend_memory& memory) {
  r.promised_bytes = of_host_memory(r.on_device, memory);
  r.device_bytes = r.on_device ? memory.total() : 0;
}

device_promises models_state::promised_on_devices() const {
  device_promises out;
  for (const auto& [path, e] : entries_) {
    for (const auto& [device, r] : e.replicas) {
      if (r.device_bytes > 0) out[device] += r.device_bytes;
    }
  }
  return out;
}

/// What engines may still take of what they were planned with: all while they start, then their KV
/// memory, of which nobody knows how much they have touched.
uint64_t models_state::promised_bytes() const {
  uint64_t sum = 0;
  for (const auto& [path, e] : entries_) {
    for (const auto& [device, r] : e.replicas) sum += r.promised_bytes;
  }
  return sum;
}

void models_state::set_engine(const engine_handles& e) {
  auto& mine = entries_.at(e.id.path);
  mine.name = e.model;
  mine.model = e.loaded;
  auto* known = find_replica(e.id);
  auto& r = known != nullptr ? *known : add_replica(mine, e.id.device);
  r.state = replica::phase::loaded;
  r.engine = e;
  r.promised_bytes = e.on_device ? 0 : e.memory.kv_bytes;
  r.device_bytes = 0;
  r.on_device = e.on_device;
  r.load.pass_seconds = e.pass_seconds;
  self->monitor(e.scheduler);
  spdlog::info("{} is ready on {}", printable_path(e.id.path), e.id.device);
  serve_waiters(mine);
}

void models_state::down(const caf::down_msg& d) {
  process_left(d.source);
  for (auto& [path, e] : entries_) {
    for (auto& [device, r] : e.replicas) {
      if (!r.engine.scheduler || r.engine.scheduler.address() != d.source) continue;
      // One that was unloaded, and started just before, is not started again.
      if (d.reason == caf::exit_reason::user_shutdown) return drop_engine({path, device});
      r.state = replica::phase::restarting;
      promise_all(r, r.engine.memory);
      r.engine = {};
      return;
    }
  }
}

void models_state::drop_engine(const engine_id& id) {
  auto& mine = entries_.at(id.path);
  mine.replicas.erase(id.device);
  if (mine.replicas.empty()) drop(id.path, {ec::cancelled, mine.name + " was unloaded", ""});
}

/// An engine that could not be started. The model's others go on; where "auto" meant a device,
/// whose room may have been taken meanwhile, the CPU does.
void models_state::engine_refused(const engine_id& id, uint64_t load, const failure& why) {
  auto* mine = find_load(id.path, load);
  const auto* refused = find_replica(id);
  if (mine == nullptr || refused == nullptr) return;
  const bool may_fall_back = refused->on_device && config.engine.backend == "auto";
  mine->replicas.erase(id.device);
  if (mine->replicas.empty() && may_fall_back) {
    spdlog::warn("{} runs on the CPU: {}", printable_path(mine->name), why.text);
    return start_engines(id.path, load, mine->model, "cpu");
  }
  if (mine->replicas.empty()) return load_failed(id.path, load, why);
  spdlog::warn("{} runs without {}: {}", printable_path(mine->name), id.device, why.text);
  serve_waiters(*mine);
}

void models_state::load_failed(const std::string& path, uint64_t load, const failure& why) {
  if (find_load(path, load) == nullptr) return;
  spdlog::info("{} cannot be loaded: {}", printable_path(path), why.text);
  drop(path, why);
}

void models_state::engine_failed(const engine_id& id, const failure& why) {
  const auto* lost = find_replica(id);  // of one that starts it says nothing
  if (lost == nullptr || lost->state == replica::phase::starting) return;
  const bool on_device = lost->on_device;
  auto& mine = entries_.at(id.path);
  mine.replicas.erase(id.device);
  if (!mine.replicas.empty()) {
    spdlog::warn("{} goes on without {}: {}", printable_path(mine.name), id.device, why.text);
  } else if (on_device) {
    spdlog::warn("{} goes on on the CPU: {}", printable_path(mine.name), why.text);
    start_engines(id.path, mine.load, mine.model, "cpu");
  } else {
    drop(id.path, why);
  }
}

void models_state::drop(const std::string& path, const failure& why) {
  auto waiters = std::move(entries_.at(path).waiters);
  entries_.erase(path);
  for (auto& w : waiters) w.promise.deliver(to_error(why));
}

caf::result<caf::ok_atom> models_state::unload(const std::string& model) {
  const auto file = find(model);
  if (!file) return to_error(file.error());
  const auto it = entries_.find(file->path);
  if (it == entries_.end()) {
    return to_error(
        {ec::not_found, "model " + file->name + " is not loaded", "see the model list"});
  }
  const bool is_at_host = !it->second.replicas.empty();
  spdlog::info("unloading {}", printable_path(file->path));
  drop(file->path, {ec::cancelled, file->name + " was unloaded", ""});
  if (!is_at_host) return caf::ok_atom_v;
  return self->delegate(host, atom::unload_v, file->path);
}

model_list models_state::list() const {
  model_list out;
  const auto fallback = find_model_file(config, "");
  for (const auto& file : list_model_files(config)) {
    model_status s{file.name, file.path,  "on disk",
                   "",        file.bytes, fallback.ok() && fallback.value().path == file.path};
    if (const auto it = entries_.find(file.path); it != entries_.end()) fill(s, it->second);
    out.push_back(std::move(s));
  }
  for (const auto& [path, e] : entries_) {
    const bool listed =
        std::any_of(out.begin(), out.end(), [&](const auto& s) { return s.path == path; });
    if (listed) continue;
    model_status s{e.name, path, "", "", 0, fallback.ok() && fallback.value().path == path};
    fill(s, e);
    out.push_back(std::move(s));
  }
  return out;
}

const char* models_state::state_of(const entry& e) {
  const auto any = [&](replica::phase state) {
    return std::any_of(e.replicas.begin(), e.replicas.end(),
                       [&](const auto& r) { return r.second.state == state; });
  };
  if (any(replica::phase::loaded)) return "loaded";
  return any(replica::phase::restarting) ? "restarting" : "loading";
}

void models_state::fill(model_status& s, const entry& e) {
  s.state = state_of(e);
  if (e.model == nullptr) return;
  s.file_bytes = e.model->weights->file->file_bytes();
  s.description = describe(*e.model);
  if (e.replicas.size() < 2) return;
  const char* before = ", on ";
  for (const auto& [device, r] : e.replicas) {
    s.description += before + device;
    before = " and ";
  }
}

std::string models_state::status() const {
  size_t num_engines = 0;
  for (const auto& [path, e] : entries_) num_engines += e.replicas.size();
  return "models=" + std::to_string(entries_.size()) + " engines=" + std::to_string(num_engines) +
         " users=" + std::to_string(users_.size());
}

models_actor::behavior_type models(models_actor::stateful_pointer<models_state> self,
                                   node_config config, bool detached) {
  self->state.config = std::move(config);
  self->state.detached = detached;
  self->set_down_handler([self](const caf::down_msg& d) { self->state.down(d); });
  return {
      [self](atom::wire, const engine_host_actor& host) { self->state.host = host; },
      [self](atom::started, const engine_handles& e) { self->state.engine_started(e); },
      [self](atom::failed, const engine_id& id, const failure& why) {
        self->state.engine_failed(id, why);
      },
      [self](atom::load, const std::string& model) { return self->state.load(model); },
      [self](atom::place, const std::string& model) { return self->state.place(model); },
      [self](atom::unload, const std::string& model) { return self->state.unload(model); },
      [self](atom::list) { return self->state.list(); },
      // Of models that are loaded from now on.
      [self](atom::update, const config_ptr& c) { self->state.config = *c; },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
