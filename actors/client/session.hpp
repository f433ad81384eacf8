#pragma once

#include <caf/io/middleman_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/atoms.hpp"
#include "actors/client/client.hpp"
#include "actors/wire.hpp"
#include "runtime/security/tls.hpp"

namespace llmos::client {

/// A generation to start.
struct generation {
  std::string ticket;
  request what;
  listener hears;
};
using generation_ptr = std::shared_ptr<const generation>;
using told_ptr = std::shared_ptr<const std::function<void(bool)>>;
using watcher_ptr = std::shared_ptr<const std::function<void(const event&)>>;

event from_wire(const wire::event& x);

/// SESSION. One client's connection to a gate: greets, connects again, and keeps every generation's
/// listener told. Asked something while there is no connection, it waits for one.
using session_actor = wire_client_actor::extend<
    // Answers once the node has answered. Errors: io_error, unsupported.
    caf::replies_to<atom::open>::with<wire::welcome>, caf::reacts_to<atom::submit, generation_ptr>,
    caf::reacts_to<atom::cancel, std::string>,
    caf::replies_to<atom::list, wire::query>::with<wire::models>,
    caf::replies_to<atom::load, wire::model_name>::with<wire::model>,
    caf::replies_to<atom::unload, wire::model_name>::with<caf::ok_atom>,
    caf::replies_to<atom::ps, wire::query>::with<wire::processes>,
    caf::replies_to<atom::status, wire::query>::with<wire::status>,
    caf::replies_to<atom::stats, wire::query>::with<wire::metrics>,
    caf::replies_to<atom::watch, wire::watch>::with<wire::events>,
    caf::replies_to<atom::cancel, wire::kill>::with<caf::ok_atom>,
    caf::replies_to<atom::encode, wire::text_of>::with<wire::tokens>,
    caf::replies_to<atom::decode, wire::tokens_of>::with<wire::text>,
    // Whom to tell of the connection.
    caf::reacts_to<atom::wire, told_ptr>,
    // Whom to tell of what happens to the node from now on.
    caf::reacts_to<atom::watch, watcher_ptr>,
    // Its own alarms: time to connect, time to ask again what happened.
    caf::reacts_to<atom::tick>, caf::reacts_to<atom::watch>,
    // Gives everything up: all listeners are told.
    caf::replies_to<atom::stop>::with<caf::ok_atom>>;

struct session_args {
  options how;
  caf::io::middleman_actor middleman;
  /// Why the last connection did not come about, where TLS knows.
  std::function<std::string()> why_refused;
};

struct session_state {
  static inline constexpr const char* name = "session";

  explicit session_state(session_actor::stateful_pointer<session_state> self) : self(self) {}

  void start(session_args args);
  caf::result<wire::welcome> open();
  void submit(const generation_ptr& g);
  void cancel(const std::string& ticket);
  void take(const wire::chunk& x);
  void take(const wire::done& x);
  void take(const wire::failed& x);
  void connect();
  void watch(watcher_ptr who);
  void resume_watch();
  void give_up(const failure& why);
  /// Asks the gate the same; waits for a connection first.
  template <class Answer, class Atom, class Query>
  caf::result<Answer> pass_on(Atom what, const Query& query);

  session_actor::stateful_pointer<session_state> self;
  told_ptr told;

private:
  struct stream {
    generation_ptr g;
    uint64_t received = 0;      ///< Events of the gate's stream.
    uint64_t acknowledged = 0;  ///< Of those.
    size_t unacknowledged_bytes = 0;
    std::string delivered;  ///< Text that the listener has.
    size_t repeated = 0;    ///< Of it, bytes that came again since the generation began anew.
    bool is_cancelled = false;
    caf::actor_clock::time_point lost_at{};  ///< While there is no connection.
  };

  void connected(const caf::strong_actor_ptr& found);
  void greeted(const wire::welcome& x);
  void lost(const failure& why);
  void retry();
  void drop_those_not_kept();
  void send(const std::string& ticket);
  void begin_again(const std::string& ticket);
  stream* expected(const std::string& ticket, uint64_t number);
  void end(const std::string& ticket, const result<done>& how);
  void acknowledge(const std::string& ticket, stream& s, size_t bytes);
  void take(const wire::events& page);
  void ask_what_happened();

  session_args args_;
  gate_actor gate_;  ///< Empty while there is no connection.
  std::chrono::milliseconds backoff_{};
  uint32_t window_bytes_ = 0;
  std::optional<wire::welcome> welcome_;
  std::vector<caf::typed_response_promise<wire::welcome>> openers_;
  std::vector<std::function<void()>> waiting_;  ///< For a connection.
  std::map<std::string, stream> streams_;       ///< By ticket.
  watcher_ptr watcher_;
  uint64_t log_ = 0, last_event_ = ~uint64_t{0};  ///< How far it has been told.
  bool is_watching_ = false;                      ///< A question, or the alarm for it, is open.
};

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     session_args args);

}  // namespace llmos::client

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::client::generation_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::client::told_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::client::watcher_ptr)
CAF_BEGIN_TYPE_ID_BLOCK(llmos_client, caf::id_block::llmos_wire::end)
CAF_ADD_TYPE_ID(llmos_client, (llmos::client::generation_ptr))
CAF_ADD_TYPE_ID(llmos_client, (llmos::client::told_ptr))
CAF_ADD_TYPE_ID(llmos_client, (llmos::client::watcher_ptr))
CAF_END_TYPE_ID_BLOCK(llmos_client)
