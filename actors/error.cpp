#include "actors/error.hpp"

#include <spdlog/spdlog.h>

#include <caf/sec.hpp>

#include "actors/wire.hpp"

namespace llmos {

caf::error to_error(const failure& x) {
  return caf::make_error(x.code, x.text, x.hint);
}

failure to_failure(const caf::error& x) {
  if (x.category() == caf::atom("llmos")) {
    failure out{static_cast<ec>(x.code()), "", ""};
    if (x.context().match_elements<std::string, std::string>()) {
      out.text = x.context().get_as<std::string>(0);
      out.hint = x.context().get_as<std::string>(1);
    }
    return out;
  }
  if (x == caf::sec::request_timeout) {
    return {ec::deadline_exceeded, "a part of the system did not answer in time", "retry"};
  }
  return {ec::internal, "a part of the system failed: " + caf::to_string(x), "retry"};
}

std::string connection_reason(const caf::error& x) {
  if (x == caf::sec::cannot_connect_to_node) return "nothing answers there";
  if (x == caf::sec::cannot_open_port) return "it is taken, or this user may not open it";
  if (x == caf::sec::disconnect_during_handshake) return "the other side ended the connection";
  return caf::to_string(x);
}

void log_lost_cancel(const caf::error& x) {
  const auto why = to_failure(x);
  if (why.code != ec::not_found) spdlog::warn("a request was not cancelled: {}", why.text);
}

void register_messages(caf::actor_system_config& config) {
  config.add_message_types<caf::id_block::llmos>();
  config.add_message_types<caf::id_block::llmos_actors>();
  register_wire_messages(config);
}

void register_wire_messages(caf::actor_system_config& config) {
  config.add_message_types<caf::id_block::llmos_wire_atoms>();
  config.add_message_types<caf::id_block::llmos_wire>();
  config.add_error_category(
      caf::atom("llmos"), [](uint8_t code, caf::atom_value, const caf::message& context) {
        return std::string{to_string(static_cast<ec>(code))} + caf::to_string(context);
      });
}

}  // namespace llmos
