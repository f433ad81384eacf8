#include "actors/node.hpp"

#include <algorithm>
#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <chrono>
#include <set>
#include <utility>

#include "actors/error.hpp"
#include "actors/gateway/http/http.hpp"
#include "actors/gateway/remote/port.hpp"
#include "actors/supervisor/supervisor.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/security/api_keys.hpp"
#include "runtime/security/identity.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds answer_timeout{60};

struct system_config : caf::actor_system_config {
  system_config(const node_config& config, bool has_ports) {
    // Sharing, not stealing: a message to a worker that computes would wait for milliseconds.
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", static_cast<size_t>(config.kernel.actor_threads));
    set("logger.verbosity", caf::atom("quiet"));
    register_messages(*this);
    if (!has_ports) return;
    add_message_types<caf::id_block::llmos_http>();
    load<caf::io::middleman>();
    set("middleman.heartbeat-interval",
        caf::timespan(std::chrono::milliseconds(config.remote.heartbeat_ms)));
    set("middleman.connection-timeout",
        caf::timespan(std::chrono::milliseconds(config.remote.silence_ms)));
  }
};

backend_factory default_backend() {
  return [](const loaded_model& m, const engine_plan& plan) {
    return make_backend(plan.backend, m.weights, plan.device);
  };
}

/// Of ports and threads, which are made once.
bool is_fixed(const std::string& key) {
  static const std::set<std::string> of_remote = {
      "remote.clients",  "remote.operators", "remote.client",      "remote.window_bytes",
      "remote.stall_ms", "remote.keep_ms",   "remote.handshake_ms"};
  if (key.starts_with("remote.")) return of_remote.count(key) == 0;
  return key == "kernel.actor_threads" ||
         (key.starts_with("http.") && key != "http.keys" && key != "http.max_choices");
}

/// Takes what is fixed over from the configuration before; returns what would have changed.
std::vector<std::string> keep_fixed(node_config& before, node_config& next) {
  std::vector<std::string> changed;
  const auto old_keys = keys_of(before), new_keys = keys_of(next);
  for (size_t i = 0; i < old_keys.size(); ++i) {
    if (!is_fixed(old_keys[i].name)) continue;
    if (render_value(old_keys[i]) == render_value(new_keys[i])) continue;
    changed.push_back(old_keys[i].name);
    std::visit([&](auto* to) { *to = *std::get<decltype(to)>(old_keys[i].slot); },
               new_keys[i].slot);
  }
  return changed;
}

result<api_key_table> read_keys(const std::string& path) {
  auto out = read_api_keys(path);
  if (out || out.error().code != ec::not_found) return out;
  failure why = out.error();
  why.hint = "llmos key add NAME makes a key, llmos init the first one";
  return why;
}

}  // namespace

struct node::impl {
  impl(const node_config& c, node_hooks hooks)
      : config(c), system_options(c, hooks.has_ports), system(system_options) {
    supervisor_args args{c, hooks.make_backend ? hooks.make_backend : default_backend(), true};
    supervisor = system.spawn(llmos::supervisor, std::move(args));
  }

  template <class Port>
  result<uint16_t> open(const Port& which) {
    caf::scoped_actor self{system};
    result<uint16_t> out = failure{};
    self->request(which, answer_timeout, atom::open_v)
        .receive([&](uint16_t number) { out = number; },
                 [&](caf::error& why) { out = to_failure(why); });
    return out;
  }
  template <class Port>
  void close(Port& which) {
    if (!which) return;
    caf::scoped_actor self{system};
    self->send_exit(which, caf::exit_reason::user_shutdown);
    self->wait_for(which);
    which = nullptr;
  }

  node_config config;
  system_config system_options;
  caf::actor_system system;
  supervisor_actor supervisor;  // dropped by stop(): the system's end waits for handles
  port_actor port;              // as well
  http_actor http;
  bool stopped = false;
};

node::node(std::unique_ptr<impl> x) : impl_(std::move(x)) {}

result<std::unique_ptr<node>> node::start(const node_config& config, node_hooks hooks) {
  LLMOS_TRY_VOID(validate(config));
  return std::unique_ptr<node>{new node(std::make_unique<impl>(config, std::move(hooks)))};
}

node::~node() {
  stop(stop_mode::cancel);
}

caf::actor_system& node::system() {
  return impl_->system;
}

const node_config& node::config() const {
  return impl_->config;
}

kernel_actor node::kernel() {
  caf::scoped_actor self{impl_->system};
  kernel_actor out;
  self->request(impl_->supervisor, answer_timeout, atom::kernel_v)
      .receive([&](kernel_actor& k) { out = std::move(k); }, [](caf::error&) {});
  return out;
}

result<node_ports> node::serve() {
  node_ports out;
  const auto& c = impl_->config;
  const std::string folder = identity_folder(c.remote.identity);
  const identity_paths paths(folder);
  const tls_files files{paths.node_certificate, paths.node_key, paths.ca_certificate};
  if (!c.remote.enabled && !c.http.enabled) {
    return failure{ec::invalid_argument,
                   "remote.enabled and http.enabled are false: nobody could connect",
                   "set one of them to true"};
  }
  if (c.remote.enabled) {
    LLMOS_TRY(auto context, tls_context::for_server(files));
    impl_->port =
        impl_->system.spawn(llmos::port, port_args{c, impl_->supervisor, std::move(context)});
    LLMOS_TRY(out.remote, impl_->open(impl_->port));
  }
  if (c.http.enabled) {
    http_args args;
    args.config = c;
    args.supervisor = impl_->supervisor;
    LLMOS_TRY(args.keys, read_keys(api_keys_path(c.http.keys, folder)));
    if (c.http.tls) {
      LLMOS_TRY(args.tls, tls_context::for_https(files));
    }
    impl_->http = impl_->system.spawn<caf::detached>(llmos::http, std::move(args));
    LLMOS_TRY(out.http, impl_->open(impl_->http));
  }
  return out;
}

result<std::vector<std::string>> node::reload(const node_config& config) {
  LLMOS_TRY_VOID(validate(config));
  auto next = std::make_shared<node_config>(config);
  auto keys = std::make_shared<api_key_table>();
  if (impl_->http) {
    LLMOS_TRY(*keys,
              read_keys(api_keys_path(config.http.keys, identity_folder(config.remote.identity))));
  }
  const auto stays = keep_fixed(impl_->config, *next);
  impl_->config = *next;
  const config_ptr shared = std::move(next);
  caf::anon_send(impl_->supervisor, atom::update_v, shared);
  if (impl_->port) caf::anon_send(impl_->port, atom::update_v, shared);
  if (impl_->http) {
    caf::anon_send(impl_->http, atom::update_v, shared);
    caf::anon_send(impl_->http, atom::update_v, std::shared_ptr<const api_key_table>(keys));
  }
  return stays;
}

void node::stop(stop_mode mode) {
  if (std::exchange(impl_->stopped, true)) return;
  caf::scoped_actor self{impl_->system};
  const auto ask = [&](const auto& whom, auto timeout, auto... what) {
    bool answered = false;
    self->request(whom, timeout, what...)
        .receive([&](caf::ok_atom) { answered = true; }, [](caf::error&) {});
    return answered;
  };
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(impl_->config.kernel.drain_ms);
  const auto left = [until] {
    const auto ms =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    return std::max(ms, std::chrono::milliseconds{0});
  };
  const bool drained =
      mode == stop_mode::drain && ask(impl_->supervisor, left(), atom::drain_v, false);
  if (drained && impl_->http) ask(impl_->http, left(), atom::drain_v);  // what was said arrives
  // Before what is left is cancelled: to clients the node is gone, and they may find the next one.
  impl_->close(impl_->port);
  impl_->close(impl_->http);
  if (!drained) ask(impl_->supervisor, answer_timeout, atom::drain_v, true);
  ask(impl_->supervisor, answer_timeout, atom::stop_v);
  self->send_exit(impl_->supervisor, caf::exit_reason::kill);  // no-op after a clean stop
  impl_->supervisor = nullptr;
}

}  // namespace llmos
