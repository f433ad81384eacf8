#include "actors/client/gate.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <set>
#include <string>

#include "actors/client/caller.hpp"
#include "actors/error.hpp"

namespace llmos::client {

namespace {

result<gate_actor> find_gate(caf::scoped_actor& self, const caller& from, const options& o) {
  result<gate_actor> out = failure{ec::io_error, "the node has no gate", ""};
  self->request(from.middleman, o.connect_timeout, caf::connect_atom_v, o.host, o.port)
      .receive(
          [&](const caf::node_id&, const caf::strong_actor_ptr& found,
              const std::set<std::string>&) {
            if (found != nullptr) out = caf::actor_cast<gate_actor>(found);
          },
          [&](const caf::error& why) { out = no_connection(o, from.why_refused(), why); });
  return out;
}

result<wire::welcome> greet(caf::scoped_actor& self, const gate_actor& gate, const options& o) {
  result<wire::welcome> out = failure{};
  self->request(gate, o.connect_timeout, atom::hello_v,
                wire::hello{wire::major_version, wire::minor_version, o.program, {}})
      .receive([&](const wire::welcome& x) { out = x; },
               [&](const caf::error& why) { out = to_failure(why); });
  return out;
}

}  // namespace

void add_wire_types(caf::actor_system_config& config) {
  register_wire_messages(config);
}

result<std::unique_ptr<gate_link>> gate_link::connect(caf::actor_system& sys, const options& o) {
  LLMOS_TRY(auto context, context_of(o));
  const caller from = make_caller(sys, o, std::move(context));
  // Ends the middleman where there is nobody yet to greet.
  std::unique_ptr<gate_link> out(new gate_link(from.middleman));
  caf::scoped_actor self{sys};
  LLMOS_TRY(out->gate_, find_gate(self, from, o));
  LLMOS_TRY(out->welcome_, greet(self, out->gate_, o));
  return out;
}

gate_link::~gate_link() {
  gate_ = nullptr;
  caf::anon_send_exit(middleman_, caf::exit_reason::kill);
}

failure failure_of(const caf::error& x) {
  return to_failure(x);
}

}  // namespace llmos::client
