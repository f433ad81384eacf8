#include "actors/gateway/remote/port.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <caf/send.hpp>
#include <utility>

#include "actors/error.hpp"
#include "actors/timed_request.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds tick_period{1};
constexpr std::chrono::seconds answer_timeout{30};
/// Of messages that wait for the gate.
constexpr intake::limits intake_limits{16u << 20, 256u << 20};
constexpr uint32_t max_list = 256;

failure not_opened(const node_config& config, const caf::error& why) {
  return {ec::io_error,
          "remote.port " + std::to_string(config.remote.port) + " at " + config.remote.address +
              " cannot be opened: " + connection_reason(why),
          "choose another port or address"};
}

}  // namespace

std::string listed_name(const std::vector<std::string>& listed, const tls_peer& peer) {
  const auto is_listed = [&](const std::string& x) {
    return std::find(listed.begin(), listed.end(), x) != listed.end();
  };
  const bool is_name = !peer.name.starts_with("sha256:");  // a name may be anything
  return (is_name && is_listed(peer.name)) || is_listed(peer.fingerprint) ? peer.name : "";
}

bool has_short_lists(std::string_view types, wire_reader values) {
  values.number(8);  // the atom
  if (types.ends_with("::hello")) {
    values.take(2 + 2);
    values.text();
  } else if (types.ends_with("::request")) {
    values.text();
    values.take(8);
    for (int i = 0; i < 4; ++i) values.text();
  } else {
    return true;
  }
  return values.size() <= max_list && values.ok();
}

std::set<std::string, std::less<>> gate_messages() {
  std::set<std::string, std::less<>> out;
  for (const char* type : {"hello", "request", "ack", "cancel", "model_name", "query", "kill",
                           "text_of", "tokens_of", "watch"}) {
    out.insert(std::string("@<>+@atom+llmos::wire::") + type);
  }
  return out;
}

port_state::~port_state() {
  for (const std::string& node : peers_->nodes()) peers_->cut(node);
  if (gate_) caf::anon_send_exit(gate_, caf::exit_reason::user_shutdown);
  if (middleman_) caf::anon_send_exit(middleman_, caf::exit_reason::kill);
}

void port_state::start(const port_args& args) {
  config_ = args.config;
  supervisor_ = args.supervisor;
  peers_ = std::make_shared<peer_table>(config_.remote.max_connections);
  intake_ = std::make_shared<intake>(intake_limits);
  auto door = std::make_shared<tls_door>(tls_door{args.context, {}, peers_, intake_, {}});
  listed_->store(std::make_shared<const names>(config_.remote.clients));
  door->principal_of = [listed = listed_](const tls_peer& peer) {
    return listed_name(*listed->load(), peer);
  };
  door->rules.messages = gate_messages();
  door->rules.fits = has_short_lists;
  door->rules.receiver = [receiver = receiver_] { return receiver->load(); };
  door->rules.own_node = node_bytes(self->system());
  middleman_ = make_tls_middleman(self->system(), door, nullptr);
  self->set_down_handler([this](const caf::down_msg& d) {
    if (gate_ && d.source == gate_.address()) gate_fell();
  });
  self->delayed_send(self, tick_period, atom::tick_v);
}

void port_state::spawn_gate() {
  gate_args args{config_, supervisor_, {}, {}, {}};
  args.principal_of = [peers = peers_](const caf::node_id& node) {
    return peers->principal_of(caf::to_string(node)).value_or("");
  };
  args.handled = [intake = intake_](uint64_t mark) { intake->handled(mark); };
  args.cut = [peers = peers_](const caf::node_id& node) { peers->cut(caf::to_string(node)); };
  if (gate_) {
    self->demonitor(gate_.address());
    self->send_exit(gate_, caf::exit_reason::user_shutdown);
  }
  gate_ = self->spawn(gate, std::move(args));
  self->monitor(gate_);
  intake_->restart([room = gate_.address()](uint64_t mark) {
    if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(room)) {
      caf::anon_send(caf::actor_cast<gate_room_actor>(alive), atom::ack_v, mark);
    }
  });
  receiver_->store(gate_.id());
}

caf::result<uint16_t> port_state::open() {
  auto promise = self->make_response_promise<uint16_t>();
  publish(static_cast<uint16_t>(config_.remote.port), [promise](result<uint16_t> opened) mutable {
    if (opened) {
      promise.deliver(*opened);
    } else {
      promise.deliver(to_error(opened.error()));
    }
  });
  return promise;
}

void port_state::publish(uint16_t port, std::function<void(result<uint16_t>)> answer) {
  spawn_gate();
  const auto whom = caf::actor_cast<caf::strong_actor_ptr>(gate_);
  timed_request(self, middleman_, answer_timeout, caf::publish_atom_v, port, whom,
                std::set<std::string>{}, config_.remote.address, true)
      .then(
          [this, answer](uint16_t opened) {
            port_ = opened;
            answer(opened);
          },
          [this, answer](const caf::error& why) { answer(not_opened(config_, why)); });
}

/// With another gate, on the same port. Those that are connected know the old one.
void port_state::gate_fell() {
  spdlog::warn("the gate fell and is started again");
  ++num_falls_;
  gate_ = nullptr;
  for (const std::string& node : peers_->nodes()) peers_->cut(node);
  timed_request(self, middleman_, answer_timeout, caf::close_atom_v, port_)
      .then([this] { publish_again(); }, [this](const caf::error&) { publish_again(); });
}

void port_state::publish_again() {
  publish(port_, [this](const result<uint16_t>& opened) {
    if (!opened) spdlog::error("{}: it is tried again", opened.error().text);
    is_shut_ = !opened;
  });
}

void port_state::tick() {
  self->delayed_send(self, tick_period, atom::tick_v);
  if (is_shut_) publish_again();
  const std::chrono::milliseconds patience{config_.remote.handshake_ms};
  const size_t n = peers_->cut_silent(peer_table::clock::now() - patience);
  if (n > 0) spdlog::info("{} connections said nothing and were closed", n);
}

void port_state::configure(const node_config& c) {
  config_ = c;
  listed_->store(std::make_shared<const names>(c.remote.clients));
  for (const std::string& node : peers_->nodes()) {
    const auto peer = peers_->peer_of(node);
    if (peer && listed_name(c.remote.clients, *peer).empty()) peers_->cut(node);
  }
  if (gate_) self->send(gate_, atom::update_v, std::make_shared<const node_config>(c));
}

std::string port_state::status() const {
  return "port=" + std::to_string(port_) +
         " connections=" + std::to_string(peers_->num_connections()) +
         " clients=" + std::to_string(peers_->num_bound()) + " falls=" + std::to_string(num_falls_);
}

port_actor::behavior_type port(port_actor::stateful_pointer<port_state> self,
                               const port_args& args) {
  self->state.start(args);
  return {
      [self](atom::open) { return self->state.open(); },
      [self](atom::tick) { self->state.tick(); },
      [self](atom::update, const config_ptr& c) { self->state.configure(*c); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
