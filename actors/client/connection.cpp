#include "actors/client/connection.hpp"

#include <openssl/rand.h>

#include <caf/io/middleman.hpp>
#include <mutex>

#include "actors/gateway/remote/tls_middleman.hpp"
#include "runtime/base/check.hpp"

namespace llmos::client {

namespace {

constexpr std::chrono::seconds stop_timeout{10};

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

connection::system_config::system_config(const options& o) {
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", size_t{1});
  set("logger.verbosity", caf::atom("quiet"));
  register_messages(*this);
  add_message_types<caf::id_block::llmos_client>();
  load<caf::io::middleman>();
  set("middleman.heartbeat-interval", caf::timespan(o.heartbeat));
  set("middleman.connection-timeout", caf::timespan(o.silence));
}

connection::connection(const options& o, tls_context context) : config_(o), system_(config_) {
  const auto refused = std::make_shared<last_failure>();
  auto caller = std::make_shared<tls_caller>(tls_caller{std::move(context), o.server_name, {}});
  caller->failed = [refused](const failure& x) { refused->set(x); };
  middleman_ = make_tls_middleman(system_, nullptr, std::move(caller));
  session_ = system_.spawn(::llmos::client::session,
                           session_args{o, middleman_, [refused] { return refused->take(); }});
}

connection::~connection() {
  caf::scoped_actor self{system_};
  self->request(session_, stop_timeout, atom::stop_v)
      .receive([](caf::ok_atom) {}, [](const caf::error&) {});
  session_ = nullptr;
  self->send_exit(middleman_, caf::exit_reason::kill);
  self->wait_for(middleman_);
  middleman_ = nullptr;
}

result<std::unique_ptr<connection>> connection::open(const options& o) {
  LLMOS_TRY_VOID(check_names(o));
  LLMOS_TRY(auto context, tls_context::for_client({o.certificate, o.key, o.ca}));
  std::unique_ptr<connection> out(new connection(o, std::move(context)));
  LLMOS_TRY(out->welcome_, out->ask<wire::welcome>(o.connect_timeout, atom::open_v));
  return out;
}

std::string draw_ticket() {
  unsigned char bytes[16];
  LLMOS_CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (const unsigned char b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::string draw_seed() {
  uint64_t x = 0;
  LLMOS_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&x), sizeof x) == 1);
  return std::to_string(x >> 11);
}

}  // namespace llmos::client
