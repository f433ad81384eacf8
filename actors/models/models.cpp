#include "actors/models/models.hpp"

#include <algorithm>
#include <utility>

#include "actors/error.hpp"
#include "actors/models/loader.hpp"
#include "runtime/config/model_path.hpp"

namespace llmos {

namespace {

constexpr std::chrono::minutes load_timeout{30};

std::string describe(const loaded_model& m) {
  const auto& hp = m.weights->hp;
  return std::string{to_string(hp.arch)} + ", " + std::to_string(hp.n_layers) + " layers, width " +
         std::to_string(hp.n_embd) + ", context " + std::to_string(hp.n_ctx_train);
}

}  // namespace

caf::result<engine_handles> models_state::load(const std::string& model) {
  auto file = find_model_file(config, model);
  if (!file) return to_error(file.error());
  const auto [it, fresh] = entries_.try_emplace(file->path);
  auto& e = it->second;
  if (e.state == entry::phase::loaded) return e.engine;
  e.waiters.push_back(self->make_response_promise<engine_handles>());
  auto promise = e.waiters.back();
  if (fresh) {
    e.name = file->name;
    start_loading(file->path);
  }
  return promise;
}

void models_state::start_loading(const std::string& key) {
  const auto reader =
      detached ? self->spawn<caf::detached>(loader, config) : self->spawn(loader, config);
  self->request(reader, load_timeout, atom::load_v, entries_.at(key).name, key)
      .then([this, key](const loaded_model_ptr& m,
                        const engine_plan& plan) { start_engine(key, m, plan); },
            [this, key](caf::error& e) { loading_failed(key, to_failure(e)); });
}

void models_state::start_engine(const std::string& key, const loaded_model_ptr& m,
                                const engine_plan& plan) {
  if (entries_.count(key) == 0) return;  // unloaded meanwhile
  self->request(host, load_timeout, atom::load_v, key, m, plan)
      .then([this](const engine_handles& e) { engine_started(e); },
            [this, key](caf::error& e) { loading_failed(key, to_failure(e)); });
}

void models_state::engine_started(const engine_handles& e) {
  auto& mine = entries_[e.key];
  mine.state = entry::phase::loaded;
  mine.name = e.model;
  mine.engine = e;
  self->monitor(e.scheduler);
  for (auto& promise : std::exchange(mine.waiters, {})) promise.deliver(e);
}

void models_state::scheduler_down(const caf::down_msg& d) {
  for (auto& [key, e] : entries_) {
    if (!e.engine.scheduler || e.engine.scheduler.address() != d.source) continue;
    e.state = entry::phase::restarting;
    e.engine = {};
  }
}

void models_state::loading_failed(const std::string& key, const failure& why) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  auto waiters = std::move(it->second.waiters);
  entries_.erase(it);
  for (auto& promise : waiters) promise.deliver(to_error(why));
}

caf::result<caf::ok_atom> models_state::unload(const std::string& model) {
  auto file = find_model_file(config, model);
  if (!file) return to_error(file.error());
  if (entries_.count(file->path) == 0) {
    return to_error(
        {ec::not_found, "model " + file->name + " is not loaded", "see the model list"});
  }
  loading_failed(file->path, {ec::cancelled, file->name + " was unloaded", ""});
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
  constexpr const char* names[] = {"loading", "loaded", "restarting"};
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
        self->state.loading_failed(key, why);
      },
      [self](atom::load, const std::string& model) { return self->state.load(model); },
      [self](atom::unload, const std::string& model) { return self->state.unload(model); },
      [self](atom::list) { return self->state.list(); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
