#include "runtime/remote/frame_filter.hpp"

#include <algorithm>
#include <cstring>

namespace llmos {

namespace {

enum operation : uint8_t {
  server_handshake = 0,
  client_handshake = frame_header::client_handshake,
  direct_message = 2,
  routed_message = 3,
  monitor_message = 4,
  down_message = 5,
  heartbeat = 6,
};

constexpr uint8_t named_receiver_flag = 1, select_connection_flag = 2;
constexpr uint64_t response_flag = 0x8000000000000000, answered_flag = 0x4000000000000000;
constexpr uint64_t stream_category = 0x2000000000000000;  // upstream 2, downstream 3
// A node id of a process: the atom "default", the process number, 20 bytes of the host.
constexpr uint64_t process_class = 0x00003e9aab9bac79;
constexpr uint64_t spawn_server = 0x3ddd66f3376adfb;  // the atom "SpawnServ"
constexpr size_t host_bytes = 20, node_bytes = 8 + 4 + host_bytes;
constexpr uint32_t max_bookkeeping_bytes = 4096;  // of monitor and down

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The types in a message, as CAF spells them; empty when it does not begin as one does.
std::string_view types_of(wire_reader& in) {
  const auto number = in.number(2);  // of a type that has one: a list of types has none
  const auto types = in.text();
  return number == 0 && types.starts_with("@<>") ? types : std::string_view{};
}

/// A message about an exit ends its receiver.
bool has_system_type(std::string_view types) {
  for (const char* name : {"@exit", "@down"}) {
    if (types.find(name) != std::string_view::npos) return true;
  }
  return false;
}

/// An error that says nothing, or only texts: nothing that would make CAF look types up.
bool is_plain_error(wire_reader& in) {
  in.number(1);  // code
  in.number(8);  // category
  std::string_view types = types_of(in);
  if (types.empty()) return false;
  types.remove_prefix(3);
  for (; types.starts_with("+@str"); types.remove_prefix(5)) in.text();
  return types.empty() && in.ended();
}

}  // namespace

frame_header frame_header::parse(std::span<const std::byte, size_bytes> bytes) {
  wire_reader in(bytes);
  frame_header h;
  h.operation = static_cast<uint8_t>(in.number(1));
  in.number(2);  // padding
  h.flags = static_cast<uint8_t>(in.number(1));
  h.payload_bytes = static_cast<uint32_t>(in.number(4));
  h.data = in.number(8);
  h.source_actor = in.number(8);
  h.dest_actor = in.number(8);
  return h;
}

std::string node_text(std::span<const std::byte> bytes) {
  wire_reader in(bytes);
  const bool is_process = in.number(8) == process_class;
  const auto process = in.number(4);
  const auto host = in.take(host_bytes);
  const bool is_some =
      std::any_of(host.begin(), host.end(), [](auto b) { return b != std::byte{}; });
  if (!is_process || process == 0 || !is_some || !in.ended()) return "";
  constexpr const char* digits = "0123456789ABCDEF";
  std::string out;
  for (const std::byte b : host) {
    out += digits[std::to_integer<unsigned>(b) >> 4];
    out += digits[std::to_integer<unsigned>(b) & 15];
  }
  return out + "#" + std::to_string(process);
}

frame_verdict frame_filter::header(const frame_header& h) const {
  const auto only_if = [](bool admitted) {
    return admitted ? frame_verdict::pass : frame_verdict::refuse;
  };
  if (h.operation == client_handshake) {
    const bool in_turn = h.flags == (node_.empty() ? 0 : select_connection_flag);
    return only_if(in_turn && h.payload_bytes == node_bytes && h.source_actor == 0 &&
                   h.dest_actor == 0);
  }
  if (node_.empty()) return frame_verdict::refuse;
  // CAF asks every node that it meets for this; it can live without an answer.
  if (h.operation == direct_message && h.flags == named_receiver_flag &&
      h.dest_actor == spawn_server && h.payload_bytes <= max_bookkeeping_bytes) {
    return frame_verdict::drop;
  }
  if (h.flags != 0) return frame_verdict::refuse;
  switch (h.operation) {
    case direct_message:
      return only_if(h.payload_bytes > 0 && h.payload_bytes <= rules_.max_payload_bytes &&
                     h.dest_actor != 0 &&
                     (h.data & (response_flag | answered_flag | stream_category)) == 0);
    case monitor_message: return only_if(h.payload_bytes == 2 * node_bytes && h.data == 0);
    case down_message:
      return only_if(h.payload_bytes > 2 * node_bytes && h.payload_bytes <= max_bookkeeping_bytes &&
                     h.source_actor != 0 && h.dest_actor == 0 && h.data == 0);
    case heartbeat:
      return only_if(h.payload_bytes == 0 && h.source_actor == 0 && h.dest_actor == 0 &&
                     h.data == 0);
    default: return frame_verdict::refuse;  // server_handshake, routed_message, unknown ones
  }
}

frame_verdict frame_filter::payload(const frame_header& h, std::span<const std::byte> bytes) {
  if (bytes.size() != h.payload_bytes) return frame_verdict::refuse;
  switch (h.operation) {
    case client_handshake: return handshake(bytes);
    case direct_message: return message(h, bytes);
    case monitor_message: return is_between_us(bytes) ? frame_verdict::pass : frame_verdict::refuse;
    case down_message: return down(h, bytes);
    default: return frame_verdict::refuse;
  }
}

frame_verdict frame_filter::handshake(std::span<const std::byte> bytes) {
  if (!node_.empty()) {  // CAF's client repeats it once it has the node's
    return as_text(bytes) == node_bytes_ ? frame_verdict::pass : frame_verdict::refuse;
  }
  const std::string id = node_text(bytes);
  if (id.empty() || as_text(bytes) == rules_.own_node || !rules_.greeted(id)) {
    return frame_verdict::refuse;
  }
  node_ = id;
  node_bytes_ = as_text(bytes);
  return frame_verdict::pass;
}

frame_verdict frame_filter::message(const frame_header& h, std::span<const std::byte> bytes) {
  wire_reader in(bytes);
  if (in.size() != 0) return frame_verdict::refuse;  // actors that it came through
  const std::string_view types = types_of(in);
  if (types.empty() || has_system_type(types)) return frame_verdict::refuse;
  // CAF asks each new node for its actors, and a client's CAF answers that.
  if (h.dest_actor != rules_.receiver()) return frame_verdict::drop;
  if (h.source_actor == 0 || rules_.messages.count(types) == 0) return frame_verdict::refuse;
  if (rules_.fits && !rules_.fits(types, in)) return frame_verdict::refuse;
  senders_.insert(h.source_actor);
  if (senders_.size() > rules_.max_senders) return frame_verdict::refuse;
  const bool is_taken = !rules_.has_room || rules_.has_room(bytes.size());
  return is_taken ? frame_verdict::pass : frame_verdict::refuse;
}

/// From that node, to this one.
bool frame_filter::is_between_us(std::span<const std::byte> nodes) const {
  return as_text(nodes.first(node_bytes)) == node_bytes_ &&
         as_text(nodes.subspan(node_bytes, node_bytes)) == rules_.own_node;
}

frame_verdict frame_filter::down(const frame_header& h, std::span<const std::byte> bytes) {
  wire_reader error(bytes.subspan(2 * node_bytes));
  if (!is_between_us(bytes) || !is_plain_error(error)) return frame_verdict::refuse;
  senders_.erase(h.source_actor);
  return frame_verdict::pass;
}

frame_verdict verdict_at_client(const frame_header& h, uint32_t max_payload_bytes) {
  if (h.payload_bytes > max_payload_bytes) return frame_verdict::refuse;
  switch (h.operation) {
    case server_handshake: return h.payload_bytes > 0 ? frame_verdict::pass : frame_verdict::refuse;
    case direct_message:
      return (h.flags & named_receiver_flag) == 0 ? frame_verdict::pass : frame_verdict::drop;
    case monitor_message:
    case down_message: return h.payload_bytes > 0 ? frame_verdict::pass : frame_verdict::refuse;
    case heartbeat: return h.payload_bytes == 0 ? frame_verdict::pass : frame_verdict::refuse;
    default: return frame_verdict::refuse;
  }
}

}  // namespace llmos
