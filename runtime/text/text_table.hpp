#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmos {

/// Texts numbered in the order they were added, and the way back from a text to its number.
class text_table {
public:
  /// REQUIRES: fewer than 2^32 texts of fewer than 2^32 bytes in all.
  void reserve(size_t texts, size_t bytes);

  /// Adds `text` as number size(). A text that is there already gets a number too, but `find`
  /// goes on answering the first; an empty text is never found. Returns whether `find` will
  /// answer the new number.
  bool add(std::string_view text);

  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  /// REQUIRES: number < size().
  std::string_view operator[](uint32_t number) const;
  std::optional<uint32_t> find(std::string_view text) const;

private:
  struct slot {
    uint32_t hash;
    uint32_t number;
  };
  /// The slot that holds `text`, or the free one where it belongs.
  size_t slot_of(std::string_view text, uint32_t hash) const;
  void rehash(size_t slots);

  std::string bytes_;
  std::vector<uint32_t> ends_;
  std::vector<slot> slots_;  // a power of two, at most half full
  size_t used_ = 0;
};

}  // namespace llmos
