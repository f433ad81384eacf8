#pragma once

#include <caf/actor_system.hpp>
#include <caf/io/middleman_actor.hpp>
#include <functional>
#include <string>

#include "actors/client/client.hpp"
#include "runtime/security/tls.hpp"

namespace llmos::client {

/// What a client shows to a node. Errors: those of client::connect that name a file or a name.
result<tls_context> context_of(const options& o);

/// Calls nodes.
struct caller {
  caf::io::middleman_actor middleman;        ///< Ends when it is sent an exit.
  std::function<std::string()> why_refused;  ///< What TLS said last; empty when it said nothing.
};
caller make_caller(caf::actor_system& sys, const options& o, tls_context context);

/// Why nobody answered, for people. `tls`: what why_refused() told.
failure no_connection(const options& how, const std::string& tls, const caf::error& why);

}  // namespace llmos::client
