#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "runtime/base/types.hpp"

namespace llmos {

/// Remembers where in one text a piece stood before and which ids it got, so that the words of a
/// long text are merged once. Holds no copies: it points into the text and its ids.
class piece_cache {
public:
  /// `text` and `ids` must outlive the cache; ids already there stay as they are.
  piece_cache(std::string_view text, std::vector<token_id>& ids) : text_{text}, ids_{ids} {
    if (text.size() >= worthwhile_bytes) slots_.resize(slot_count);
  }

  /// Appends the ids of an equal piece that was remembered. Returns whether there was one.
  bool repeat(size_t begin, size_t end) {
    if (slots_.empty()) return false;
    const slot& s = slot_of(begin, end);
    if (s.end - s.begin != end - begin || piece(s.begin, s.end) != piece(begin, end)) return false;
    for (uint32_t i = 0; i < s.n_ids; ++i) ids_.push_back(ids_[s.first_id + i]);
    return true;
  }

  /// Remembers that a piece got all ids from number `first_id` on.
  void remember(size_t begin, size_t end, size_t first_id) {
    if (slots_.empty()) return;
    slot_of(begin, end) = {static_cast<uint32_t>(begin), static_cast<uint32_t>(end),
                           static_cast<uint32_t>(first_id),
                           static_cast<uint32_t>(ids_.size() - first_id)};
  }

private:
  static constexpr size_t worthwhile_bytes = 2048;
  static constexpr size_t slot_count = 4096;

  struct slot {
    uint32_t begin = 0, end = 0;  // of the piece in the text; empty: free
    uint32_t first_id = 0, n_ids = 0;
  };

  std::string_view piece(size_t begin, size_t end) const {
    return text_.substr(begin, end - begin);
  }
  slot& slot_of(size_t begin, size_t end) {
    return slots_[std::hash<std::string_view>{}(piece(begin, end)) % slot_count];
  }

  std::string_view text_;
  std::vector<token_id>& ids_;
  std::vector<slot> slots_;
};

}  // namespace llmos
