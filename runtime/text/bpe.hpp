#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/text/pre_tokenizer.hpp"
#include "runtime/text/text_encoder.hpp"
#include "runtime/text/text_table.hpp"
#include "runtime/text/vocabulary.hpp"

namespace llmos {

/// Ranked merges of neighbouring symbols: (left, right) → rank and the symbol that replaces both.
class merge_table {
public:
  struct merge {
    uint32_t rank;
    uint32_t result;
  };
  static constexpr uint32_t no_rank = UINT32_MAX;

  explicit merge_table(size_t merges);

  /// Adds a merge; of two merges of the same pair the first counts. REQUIRES: rank < no_rank.
  void add(uint32_t left, uint32_t right, merge m);

  /// The merge of a pair; its rank is no_rank when there is none.
  merge find(uint32_t left, uint32_t right) const;

  /// Merges until no pair has a rank: always the lowest rank, of equal ones the leftmost.
  /// O(n log n) time and O(n) memory.
  void apply(std::vector<uint32_t>& symbols) const;

private:
  struct slot {
    uint64_t pair;
    merge value;
  };
  size_t slot_of(uint64_t pair) const;
  void apply_short(std::vector<uint32_t>& symbols) const;
  void apply_long(std::vector<uint32_t>& symbols) const;

  std::vector<slot> slots_;  // a power of two, at most half full
};

/// Byte-level byte-pair encoding (tokenizer.ggml.model = gpt2).
/// Ill-formed UTF-8 is encoded as llama.cpp reads it (see `repair_utf8`).
class bpe_encoder final : public text_encoder {
public:
  /// Errors: bad_file (a merge that is not two parts).
  static result<std::unique_ptr<const text_encoder>> make(const vocabulary& v,
                                                          const std::vector<std::string>& merges,
                                                          pre_tokenizer pieces);

  result<void> encode(std::string_view text, bool starts, std::vector<token_id>& out,
                      uint64_t& lost_bytes) const override;
  std::string bytes_of(std::string_view text) const override;
  std::array<uint8_t, 256> byte_weights() const override;
  bool adds_space() const override { return false; }

private:
  bpe_encoder(const vocabulary& v, size_t merges, pre_tokenizer pieces);

  void add_words(const vocabulary& v);
  result<void> add_merges(const vocabulary& v, const std::vector<std::string>& merges);
  /// The symbol of a text: its token id, or a number above all ids.
  uint32_t symbol_of(const vocabulary& v, std::string_view text);
  void encode_piece(std::string_view piece, std::vector<uint32_t>& symbols,
                    std::vector<token_id>& out, uint64_t& lost_bytes) const;
  void append_symbol(uint32_t symbol, std::vector<token_id>& out, uint64_t& lost_bytes) const;

  pre_tokenizer pieces_;
  uint32_t n_tokens_;
  merge_table merges_;
  text_table symbols_;                        ///< Texts that are in merges but no token.
  std::array<uint32_t, 256> byte_symbols_{};  ///< By byte.
  text_table words_;                          ///< By bytes; only for whole_pieces_first.
  std::vector<token_id> word_ids_;            ///< By number in words_.
};

}  // namespace llmos
