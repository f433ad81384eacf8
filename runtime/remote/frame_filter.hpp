#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "runtime/remote/wire_reader.hpp"

namespace llmos {

/// What the broker of CAF's wire protocol (BASP, version of CAF 0.17.6) would do with a frame from
/// outside it does without asking who may. So what comes is looked at before: CAF never sees a
/// frame that is not one of those below.
enum class frame_verdict : uint8_t {
  pass,
  drop,    ///< Harmless and useless: the broker does not get it.
  refuse,  ///< The connection ends.
};

/// A frame's first 32 bytes.
struct frame_header {
  static constexpr size_t size_bytes = 32;
  static constexpr uint8_t client_handshake = 1;  ///< An operation: the other node's id.

  uint8_t operation = 0, flags = 0;
  uint32_t payload_bytes = 0;
  uint64_t data = 0;  ///< Of messages the message id.
  uint64_t source_actor = 0, dest_actor = 0;

  static frame_header parse(std::span<const std::byte, size_bytes> bytes);
};

/// What a node admits from those who connect to it.
struct frame_rules {
  /// Types of the messages that may be sent to the receiver, as CAF spells them:
  /// "@<>+@atom+llmos::wire::hello".
  std::set<std::string, std::less<>> messages;
  std::function<uint64_t()> receiver;               ///< The one actor that is reached.
  std::string own_node;                             ///< This node's id, as CAF writes it.
  std::function<bool(const std::string&)> greeted;  ///< The other node's id; false: not welcome.
  uint32_t max_payload_bytes = 1u << 20;
  size_t max_senders = 4096;  ///< Actors of the other node that live and have sent something.
  /// Whether values of these types, which stand there, may be read. Empty: they may.
  std::function<bool(std::string_view types, wire_reader values)> fits = nullptr;
  /// Whether the receiver can take a message of that size now. Empty: it can.
  std::function<bool(size_t bytes)> has_room = nullptr;
};

/// The frames of one connection, from a client to a node. Once a frame was refused the object is
/// not used again.
///
///   begin ──handshake──▶ open ──message to the receiver, monitor, down, heartbeat──▶ open
///
/// Not admitted: a second identity, exits, named receivers, routed frames, responses (nothing was
/// asked), messages of other types, senders without end, and what is malformed.
class frame_filter {
public:
  explicit frame_filter(frame_rules rules) : rules_(std::move(rules)) {}

  /// A header; its payload, unless it is empty, is read only when it passes. `pass` for a frame
  /// without payload is its last word.
  frame_verdict header(const frame_header& h) const;
  /// The payload of a header that passed.
  frame_verdict payload(const frame_header& h, std::span<const std::byte> bytes);

  /// The id that the other node gave itself, as people write it; empty before.
  const std::string& node() const { return node_; }

private:
  frame_verdict handshake(std::span<const std::byte> bytes);
  frame_verdict message(const frame_header& h, std::span<const std::byte> bytes);
  bool is_between_us(std::span<const std::byte> nodes) const;
  frame_verdict down(const frame_header& h, std::span<const std::byte> bytes);

  frame_rules rules_;
  std::string node_, node_bytes_;
  std::unordered_set<uint64_t> senders_;
};

/// What a client gets from the node that it connected to, whose certificate was verified: only what
/// asks for the client's own actors by name is kept from CAF.
frame_verdict verdict_at_client(const frame_header& h, uint32_t max_payload_bytes);

/// The text for people of a node id as CAF writes it; empty when it is none of a process.
std::string node_text(std::span<const std::byte> bytes);

}  // namespace llmos
