#include "actors/client/connection.hpp"

#include <openssl/rand.h>

#include <caf/io/middleman.hpp>

#include "actors/client/caller.hpp"
#include "runtime/base/check.hpp"

namespace llmos::client {

namespace {

constexpr std::chrono::seconds stop_timeout{10};

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
  auto from = make_caller(system_, o, std::move(context));
  middleman_ = std::move(from.middleman);
  session_ = system_.spawn(::llmos::client::session,
                           session_args{o, middleman_, std::move(from.why_refused)});
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
  LLMOS_TRY(auto context, context_of(o));
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
