#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace llmos {

/// Reads what CAF 0.17 writes: numbers with the most significant byte first, sizes in groups of
/// seven bits with the least significant first. After a read past the end ok() is false and all
/// that is read is 0 or empty.
class wire_reader {
public:
  explicit wire_reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool ok() const { return is_ok_; }
  /// Nothing failed, and nothing is left.
  bool ended() const { return is_ok_ && bytes_.empty(); }

  uint64_t number(size_t n_bytes) {
    uint64_t out = 0;
    for (const std::byte b : take(n_bytes)) out = out << 8 | std::to_integer<uint64_t>(b);
    return out;
  }
  uint32_t size() {
    uint32_t out = 0;
    for (int shift = 0; shift < 32; shift += 7) {
      const auto group = number(1);
      if (shift == 28 && group > 0x0f) break;  // more than 32 bits
      out |= static_cast<uint32_t>(group & 0x7f) << shift;
      if ((group & 0x80) == 0) return is_ok_ ? out : 0;
    }
    fail();
    return 0;
  }
  std::span<const std::byte> take(size_t n) {
    if (n > bytes_.size()) {
      fail();
      return {};
    }
    const auto out = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return out;
  }
  std::string_view text() {
    const auto found = take(size());
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }

private:
  void fail() {
    is_ok_ = false;
    bytes_ = {};
  }

  std::span<const std::byte> bytes_;
  bool is_ok_ = true;
};

}  // namespace llmos
