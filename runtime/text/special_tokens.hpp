#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/types.hpp"
#include "runtime/text/text_table.hpp"
#include "runtime/text/vocabulary.hpp"

namespace llmos {

/// A stretch of a text: either one special token or bytes still to be encoded.
struct fragment {
  static constexpr token_id text = -1;

  size_t begin = 0;
  size_t end = 0;
  token_id id = text;
};

/// Finds special tokens in text before anything else looks at it. Longer tokens win over shorter
/// ones wherever they stand, the lower id over the higher, the left over the right.
class special_tokens {
public:
  explicit special_tokens(const vocabulary& v);

  /// The fragments of `text` in order; none is empty. User-defined tokens are always found,
  /// control and unknown ones only with `all`.
  std::vector<fragment> partition(std::string_view text, bool all) const;

private:
  struct match {
    size_t begin;
    size_t end;
    uint32_t number;
  };
  std::vector<match> find_all(std::string_view text, bool all) const;

  struct entry {
    token_id id;
    bool always;
    bool strips_right;
  };
  text_table texts_;
  std::vector<entry> entries_;                         // by number in texts_
  std::array<std::vector<size_t>, 256> lengths_of_{};  // by first byte
};

}  // namespace llmos
