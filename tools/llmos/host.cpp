#include "tools/llmos/host.hpp"

#include <caf/scoped_actor.hpp>
#include <charconv>
#include <utility>

#include "actors/client/connection.hpp"
#include "actors/client/remote_kernel.hpp"
#include "runtime/security/identity.hpp"

namespace llmos {

namespace {

class local_host final : public host {
public:
  explicit local_host(std::unique_ptr<node> x) : node_(std::move(x)) {}
  caf::actor_system& system() override { return node_->system(); }
  kernel_actor kernel() override { return node_->kernel(); }
  void stop() override { node_->stop(node::stop_mode::cancel); }

private:
  std::unique_ptr<node> node_;
};

class remote_host final : public host {
public:
  explicit remote_host(std::unique_ptr<client::connection> to)
      : to_(std::move(to)), kernel_(to_->system().spawn(client::remote_kernel, to_->session())) {}
  ~remote_host() override { stop(); }

  caf::actor_system& system() override { return to_->system(); }
  kernel_actor kernel() override { return kernel_; }
  void stop() override {
    if (!kernel_) return;
    caf::scoped_actor self{to_->system()};
    self->send_exit(kernel_, caf::exit_reason::user_shutdown);
    self->wait_for(kernel_);
    kernel_ = nullptr;
  }

private:
  std::unique_ptr<client::connection> to_;
  kernel_actor kernel_;
};

/// "host:port", "[::1]:port"
result<std::pair<std::string, uint16_t>> read_place(const std::string& text) {
  const auto colon = text.rfind(':');
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const bool has_port = colon != std::string::npos &&
                        std::from_chars(text.data() + colon + 1, end, port).ptr == end && port != 0;
  std::string host = has_port ? text.substr(0, colon) : "";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!host.empty()) return std::pair{host, port};
  return failure{ec::invalid_argument, "--connect: \"" + text + "\" is no HOST:PORT",
                 "as in --connect 127.0.0.1:4747"};
}

result<std::unique_ptr<host>> find_remote(const node_config& config, const std::string& where) {
  LLMOS_TRY(const auto place, read_place(where));
  const identity_paths paths(identity_folder(config.remote.identity));
  client::options o;
  std::tie(o.host, o.port) = place;
  o.certificate = paths.client_certificate(config.remote.client);
  o.key = paths.client_key(config.remote.client);
  o.ca = paths.ca_certificate;
  o.program = "llmos " LLMOS_VERSION;
  o.heartbeat = std::chrono::milliseconds(config.remote.heartbeat_ms);
  o.silence = std::chrono::milliseconds(config.remote.silence_ms);
  LLMOS_TRY(auto to, client::connection::open(o));
  return std::unique_ptr<host>(std::make_unique<remote_host>(std::move(to)));
}

}  // namespace

result<std::unique_ptr<host>> host::find(const node_config& config, const global_options& global) {
  if (!global.connect.empty()) return find_remote(config, global.connect);
  LLMOS_TRY(auto started, node::start(config));
  return std::unique_ptr<host>(std::make_unique<local_host>(std::move(started)));
}

}  // namespace llmos
