#pragma once

#include <caf/stateful_actor.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/protocol.hpp"
#include "actors/wire.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/remote/outbox.hpp"
#include "runtime/remote/request_book.hpp"

namespace llmos {

/// What a GATE is to the node that it stands in.
using gate_room_actor = gate_actor::extend_with<client_actor>::extend<
    caf::reacts_to<atom::tick>,
    // All that was sent before it was handled (runtime/remote/intake.hpp).
    caf::reacts_to<atom::ack, uint64_t>>::extend_with<configured_actor>::extend_with<status_actor>;

struct gate_args {
  node_config config;
  supervisor_actor supervisor;  ///< Tells which kernel there is.
  /// Who is behind messages of that node; "" when nobody is connected. Tests put their own in.
  std::function<std::string(const caf::node_id&)> principal_of;
  std::function<void(const caf::node_id&)> cut;  ///< Ends its connection.
  std::function<void(uint64_t)> handled;         ///< Of intake.
};

/// GATE's state: the connections that said hello, and their streams. A stream is named by its
/// client's principal and ticket, not by its connection: that may be lost and come again.
///
///   submit ──▶ asked ──kernel──▶ running ──last event──▶ ended ──acknowledged──▶ forgotten
///                                   │ ▲
///                     client lost   ▼ │ submit again, within keep_ms
///                                 parked ──too late──▶ cancelled
struct gate_state {
  static inline constexpr const char* name = "gate";

  explicit gate_state(gate_room_actor::stateful_pointer<gate_state> self) : self(self) {}

  caf::result<wire::welcome> hello(const wire::hello& x);
  caf::result<wire::accepted> submit(const wire::request& x);
  void ack(const wire::ack& x);
  caf::result<caf::ok_atom> cancel(const wire::cancel& x);
  caf::result<wire::models> list();
  caf::result<wire::model> load(const wire::model_name& x);
  caf::result<caf::ok_atom> unload(const wire::model_name& x);
  caf::result<wire::processes> ps();
  caf::result<wire::status> status();
  caf::result<wire::metrics> stats();
  caf::result<wire::events> watch(const wire::watch& x);
  caf::result<caf::ok_atom> kill(const wire::kill& x);
  caf::result<wire::tokens> encode(const wire::text_of& x);
  caf::result<wire::text> decode(const wire::tokens_of& x);

  using event = std::variant<wire::chunk, wire::done, wire::failed>;
  /// Of a generation; ticket and number are not set yet.
  void add(request_id id, event e);

  void start(gate_args args);
  void down(const caf::down_msg& d);
  void tick();
  void marked(uint64_t mark) { args_.handled(mark); }
  void configure(const node_config& c);
  std::string summary() const;

  gate_room_actor::stateful_pointer<gate_state> self;

private:
  using clock = caf::actor_clock;
  using stream_key = std::pair<std::string, std::string>;  ///< Principal and ticket.

  /// A node that is connected.
  struct connection {
    std::string principal;
    size_t sent_bytes = 0, held_bytes = 0;  ///< Of all its streams.
    bool is_cut = false;
    uint32_t num_watches = 0;  ///< That wait.
  };
  struct stream {
    wire_client_actor client;  ///< Empty while it is parked.
    caf::node_id node;         ///< Of the client; empty as well.
    outbox<event> events;
    std::optional<request_id> id;  ///< Once the kernel has taken it.
    bool has_ended = false;
    bool is_cancelled = false;
    std::chrono::milliseconds keep{};
    clock::time_point parked_at{};
    clock::time_point moved_at{};  ///< When an event was last acknowledged, or none waited.
  };

  result<connection*> sender();
  result<void> check_operator();
  caf::result<wire::accepted> start_stream(const stream_key& key, const wire::request& x);
  caf::result<wire::accepted> resume(const stream_key& key, stream& s, const wire::request& x);
  void taken(uint64_t number, const stream_key& key, request_id id);
  void attach(const stream_key& key, stream& s, const wire::request& x);
  void detach(const stream_key& key, stream& s);
  void park(const stream_key& key);
  template <class Change>
  auto change(stream& s, const Change& what);
  void send_events(const stream_key& key, stream& s);
  void cancel(stream& s);
  void cancel_in_kernel(request_id id);
  void forget(const stream_key& key);
  void cut(const caf::node_id& node);
  template <class Answer, class Known, class Use, class... Ts>
  caf::result<Answer> ask_kernel(const Use& use, const Ts&... what);

  gate_args args_;
  kernel_actor kernel_;
  std::set<std::string> operators_;
  std::map<caf::node_id, connection> connections_;  ///< Those that said hello.
  std::map<stream_key, stream> streams_;
  request_book<stream_key, event> book_;
  std::map<caf::actor_addr, std::set<stream_key>> of_client_;
};

gate_room_actor::behavior_type gate(gate_room_actor::stateful_pointer<gate_state> self,
                                    gate_args args);

}  // namespace llmos
