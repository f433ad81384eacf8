#include "actors/client/caller.hpp"

#include <mutex>
#include <utility>

#include "actors/error.hpp"
#include "actors/gateway/remote/tls_middleman.hpp"

namespace llmos::client {

namespace {

/// A failure that the thread of the sockets leaves for the session.
class last_failure {
public:
  void set(const failure& x) {
    const std::lock_guard lock(mutex_);
    text_ = x.text;
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }

private:
  std::mutex mutex_;
  std::string text_;
};

/// What a certificate can be for.
result<void> check_names(const options& o) {
  const auto fits = [](const std::string& x) { return !x.empty() && x.size() <= 255; };
  if (!fits(o.host)) return failure{ec::invalid_argument, "host is empty or too long", ""};
  if (o.server_name.empty() || fits(o.server_name)) return {};
  return failure{ec::invalid_argument, "server_name is longer than 255 bytes", ""};
}

}  // namespace

result<tls_context> context_of(const options& o) {
  LLMOS_TRY_VOID(check_names(o));
  return tls_context::for_client({o.certificate, o.key, o.ca});
}

caller make_caller(caf::actor_system& sys, const options& o, tls_context context) {
  const auto refused = std::make_shared<last_failure>();
  auto how = std::make_shared<tls_caller>(tls_caller{std::move(context), o.server_name, {}});
  how->failed = [refused](const failure& x) { refused->set(x); };
  return {make_tls_middleman(sys, nullptr, std::move(how)), [refused] { return refused->take(); }};
}

failure no_connection(const options& how, const std::string& tls, const caf::error& why) {
  const std::string where = how.host + ":" + std::to_string(how.port);
  if (!tls.empty()) {
    return {ec::io_error, where + ": " + tls, "check certificate, key, CA and server name"};
  }
  return {ec::io_error, where + ": " + connection_reason(why),
          "check that the node runs there and lets this client in (remote.clients)"};
}

}  // namespace llmos::client
