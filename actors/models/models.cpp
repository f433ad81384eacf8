#include "actors/models/models.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "actors/error.hpp"
#include "actors/models/loader.hpp"
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

/// Of what an engine takes nothing is the host's where it is on a device of its own.
uint64_t of_host(bool on_device, uint64_t bytes) {
  return on_device ? 0 : bytes;
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
  const auto file = find(model);
  if (!file) return to_error(file.error());
  const auto [it, fresh] = entries_.try_emplace(file->path);
  auto& e = it->second;
  if (e.state == entry::phase::loaded) return e.engine;
  e.waiters.push_back(self->make_response_promise<engine_handles>());
  auto promise = e.waiters.back();
  if (fresh) {
    e.name = file->name;
    e.load = ++num_loads_;
    start_reading(file->path);
  }
  return promise;
}

void models_state::start_reading(const std::string& key) {
  const auto& e = entries_.at(key);
  spdlog::info("loading {}", printable_path(key));
  const auto reader = detached ? self->spawn<caf::detached>(loader) : self->spawn(loader);
  self->request(reader, load_timeout, atom::load_v, e.name, key)
      .then(
          [this, key, load = e.load](const loaded_model_ptr& m) {
            start_engine(key, load, m, config.engine.backend);
          },
          [this, key, load = e.load](caf::error& why) { load_failed(key, load, to_failure(why)); });
}

/// The entry of that load, or nothing when it was unloaded meanwhile.
models_state::entry* models_state::find_load(const std::string& key, uint64_t load) {
  const auto it = entries_.find(key);
  return it != entries_.end() && it->second.load == load ? &it->second : nullptr;
}

void models_state::start_engine(const std::string& key, uint64_t load, const loaded_model_ptr& m,
                                const std::string& backend) {
  auto* mine = find_load(key, load);
  if (mine == nullptr) return;
  auto placed = config;
  placed.engine.backend = backend;
  const auto room = measure_room(config.kernel.memory_limit_bytes, promised_bytes());
  const auto plan = plan_engine(*m->weights, placed, room);
  if (!plan) return load_failed(key, load, plan.error());
  if (!plan->note.empty()) spdlog::warn("{}: {}", printable_path(mine->name), plan->note);
  mine->state = entry::phase::starting;
  mine->promised_bytes = of_host(plan->on_device, plan->memory.total());
  self->request(host, load_timeout, atom::load_v, key, m, *plan)
      .then(
          [this, key, load](const engine_handles& e) {
            if (auto* mine = find_load(key, load)) set_engine(*mine, e);
          },
          [this, key, load](caf::error& e) { load_failed(key, load, to_failure(e)); });
}

/// A load that is under way gets its own answer: what is told meanwhile is of an engine before it.
void models_state::engine_started(const engine_handles& e) {
  auto& mine = entries_[e.key];
  if (mine.state == entry::phase::reading && mine.load != 0) return;
  if (mine.state == entry::phase::starting) return;
  set_engine(mine, e);
}

/// What engines may still take of what they were planned with: all while they start, then their KV
/// memory, of which nobody knows how much they have touched.
uint64_t models_state::promised_bytes() const {
  uint64_t sum = 0;
  for (const auto& [key, e] : entries_) sum += e.promised_bytes;
  return sum;
}

void models_state::set_engine(entry& mine, const engine_handles& e) {
  mine.state = entry::phase::loaded;
  mine.promised_bytes = of_host(e.on_device, e.memory.kv_bytes);
  mine.name = e.model;
  mine.model = e.loaded;
  mine.on_device = e.on_device;
  mine.engine = e;
  self->monitor(e.scheduler);
  spdlog::info("{} is ready", printable_path(e.key));
  for (auto& promise : std::exchange(mine.waiters, {})) promise.deliver(e);
}

void models_state::scheduler_down(const caf::down_msg& d) {
  for (auto& [key, e] : entries_) {
    if (!e.engine.scheduler || e.engine.scheduler.address() != d.source) continue;
    e.state = entry::phase::restarting;
    e.promised_bytes = of_host(e.on_device, e.engine.memory.total());
    e.engine = {};
  }
}

void models_state::load_failed(const std::string& key, uint64_t load, const failure& why) {
  if (find_load(key, load) == nullptr) return;
  spdlog::info("{} cannot be loaded: {}", printable_path(key), why.text);
  drop(key, why);
}

void models_state::engine_failed(const std::string& key, const failure& why) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  auto& mine = it->second;  // of a load that is under way it says nothing
  if (mine.state == entry::phase::reading || mine.state == entry::phase::starting) return;
  if (!mine.on_device) return drop(key, why);
  spdlog::warn("{} goes on on the CPU: {}", printable_path(mine.name), why.text);
  mine.on_device = false;
  mine.engine = {};
  start_engine(key, mine.load, mine.model, "cpu");
}

void models_state::drop(const std::string& key, const failure& why) {
  auto waiters = std::move(entries_.at(key).waiters);
  entries_.erase(key);
  for (auto& promise : waiters) promise.deliver(to_error(why));
}

caf::result<caf::ok_atom> models_state::unload(const std::string& model) {
  const auto file = find(model);
  if (!file) return to_error(file.error());
  const auto it = entries_.find(file->path);
  if (it == entries_.end()) {
    return to_error(
        {ec::not_found, "model " + file->name + " is not loaded", "see the model list"});
  }
  const bool is_at_host = it->second.state != entry::phase::reading;
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

void models_state::fill(model_status& s, const entry& e) {
  constexpr const char* names[] = {"loading", "loading", "loaded", "restarting"};
  s.state = names[static_cast<size_t>(e.state)];
  if (!e.engine.loaded) return;
  s.file_bytes = e.engine.loaded->weights->file->file_bytes();
  s.description = describe(*e.engine.loaded);
}

std::string models_state::status() const {
  return "engines=" + std::to_string(entries_.size());
}

models_actor::behavior_type models(models_actor::stateful_pointer<models_state> self,
                                   node_config config, bool detached) {
  self->state.config = std::move(config);
  self->state.detached = detached;
  self->set_down_handler([self](const caf::down_msg& d) { self->state.scheduler_down(d); });
  return {
      [self](atom::wire, const engine_host_actor& host) { self->state.host = host; },
      [self](atom::started, const engine_handles& e) { self->state.engine_started(e); },
      [self](atom::failed, const std::string& key, const failure& why) {
        self->state.engine_failed(key, why);
      },
      [self](atom::load, const std::string& model) { return self->state.load(model); },
      [self](atom::unload, const std::string& model) { return self->state.unload(model); },
      [self](atom::list) { return self->state.list(); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
