#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/remote/frame_filter.hpp"

namespace llmos::test {

// Frames as CAF 0.17 writes them, put together by hand: what reads them is tested against this.

/// The lowest `n` bytes of x, the most significant first.
inline std::string number(uint64_t x, size_t n) {
  std::string out;
  while (n-- > 0) out += static_cast<char>(x >> 8 * n & 0xff);
  return out;
}

/// A size: seven bits a byte, the least significant first.
inline std::string size_bytes(uint32_t x) {
  std::string out;
  for (; x > 0x7f; x >>= 7) out += static_cast<char>((x & 0x7f) | 0x80);
  return out + static_cast<char>(x);
}

inline std::string text_bytes(std::string_view x) {
  return size_bytes(static_cast<uint32_t>(x.size())) + std::string(x);
}

/// The id of a node: a process on a host of which each byte is `host`.
inline std::string node_bytes(uint32_t process, char host) {
  return number(0x00003e9aab9bac79, 8) + number(process, 4) + std::string(20, host);
}

/// A message: no actors that it came through, its types ("@<>+@str"), its values.
inline std::string message_bytes(std::string_view types, std::string_view values = "") {
  return number(0, 1) + number(0, 2) + text_bytes(types) + std::string(values);
}

/// An error: what explains it is a message as well.
inline std::string error_bytes(std::string_view types, std::string_view values = "") {
  return number(1, 1) + number(0x1234, 8) + number(0, 2) + text_bytes(types) + std::string(values);
}

inline std::string header_bytes(const frame_header& h) {
  return number(h.operation, 1) + number(0, 2) + number(h.flags, 1) + number(h.payload_bytes, 4) +
         number(h.data, 8) + number(h.source_actor, 8) + number(h.dest_actor, 8);
}

/// A whole frame; the header says how long the payload is.
inline std::string frame_bytes(frame_header h, std::string_view payload) {
  h.payload_bytes = static_cast<uint32_t>(payload.size());
  return header_bytes(h) + std::string(payload);
}

inline std::span<const std::byte> as_bytes(std::string_view x) {
  return std::as_bytes(std::span{x.data(), x.size()});
}

}  // namespace llmos::test
