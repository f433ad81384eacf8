#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"

namespace llmos {

/// How one kind of vocabulary turns text without special tokens into ids, and a token into bytes.
/// Immutable, shared between threads.
class text_encoder {
public:
  virtual ~text_encoder() = default;

  /// Appends the ids of `text`. `starts` is true at the start of the whole text and after a
  /// special token. Bytes for which there is no token are left out and added to `lost_bytes`.
  /// Errors: out_of_memory.
  virtual result<void> encode(std::string_view text, bool starts, std::vector<token_id>& out,
                              uint64_t& lost_bytes) const = 0;

  /// The bytes that a normal token with this vocabulary text stands for.
  virtual std::string bytes_of(std::string_view text) const = 0;

  /// By byte of text: how many bytes of what is merged it gives; 0: it may be left out.
  virtual std::array<uint8_t, 256> byte_weights() const = 0;

  /// Whether `encode` puts a space before text that `starts`.
  virtual bool adds_space() const = 0;
};

/// Longest stretch of text, in bytes, that is merged as one: bounds the memory of `encode`.
inline constexpr size_t merged_bytes_max = 64u << 20;

/// The failure for a longer stretch.
failure merge_too_long(size_t bytes);

}  // namespace llmos
