#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "actors/client/session.hpp"
#include "actors/error.hpp"

namespace llmos::client {

/// An actor system with a session in it: what client and the program's --connect stand on.
class connection {
public:
  /// Connects, and waits until the node has answered. Errors: those of client::connect.
  static result<std::unique_ptr<connection>> open(const options& o);
  ~connection();

  caf::actor_system& system() { return system_; }
  const session_actor& session() const { return session_; }
  const wire::welcome& welcome() const { return welcome_; }

  /// Asks the session, and waits.
  template <class Answer, class... Ts>
  result<Answer> ask(std::chrono::milliseconds timeout, const Ts&... what) {
    caf::scoped_actor self{system_};
    std::optional<result<Answer>> out;
    self->request(session_, timeout, what...)
        .receive([&](Answer& x) { out.emplace(std::move(x)); },
                 [&](const caf::error& why) { out.emplace(to_failure(why)); });
    return std::move(*out);
  }

private:
  struct system_config : caf::actor_system_config {
    explicit system_config(const options& o);
  };
  connection(const options& o, tls_context context);

  system_config config_;
  caf::actor_system system_;
  caf::io::middleman_actor middleman_;
  session_actor session_;
  wire::welcome welcome_;
};

/// 32 hex digits that nobody can guess: who has a ticket can go on with its generation.
std::string draw_ticket();
/// Below 2^53: whoever keeps it as a double gets it as it was.
std::string draw_seed();

}  // namespace llmos::client
