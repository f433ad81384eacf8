#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace llmos {

/// Walks little-endian bytes from outside. Every read is compared with what is left and is nothing
/// when that is too little; the position then stays where it was.
class byte_reader {
public:
  explicit byte_reader(std::span<const std::byte> bytes) : bytes_{bytes} {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <class T>
  requires std::is_arithmetic_v<T> std::optional<T> read() {
    const auto raw = take(sizeof(T));
    if (!raw) return std::nullopt;
    T out;
    std::memcpy(&out, raw->data(), sizeof out);
    return out;
  }

  /// A view of the next `n` bytes.
  std::optional<std::span<const std::byte>> take(uint64_t n) {
    if (n > remaining()) return std::nullopt;
    const auto out = bytes_.subspan(position_, static_cast<size_t>(n));
    position_ += static_cast<size_t>(n);
    return out;
  }

  /// A view of the next string: u64 length, then that many bytes.
  std::optional<std::string_view> read_string() {
    const size_t start = position_;
    const auto length = read<uint64_t>();
    const auto text = length ? take(*length) : std::nullopt;
    if (!text) {
      position_ = start;
      return std::nullopt;
    }
    return std::string_view{reinterpret_cast<const char*>(text->data()), text->size()};
  }

private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace llmos
