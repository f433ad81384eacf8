#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/text/text_encoder.hpp"
#include "runtime/text/text_table.hpp"
#include "runtime/text/vocabulary.hpp"

namespace llmos {

/// SentencePiece-style encoding (tokenizer.ggml.model = llama): spaces become ▁, then the pair of
/// neighbours whose union is the token with the highest score is merged until none is left.
/// Characters without a token become the tokens of their bytes (<0x0A>), or the unknown token.
/// Only what is text merges: no control, unknown or byte token ever arises from plain text.
class spm_encoder final : public text_encoder {
public:
  spm_encoder(const vocabulary& v, bool adds_space);

  result<void> encode(std::string_view text, bool starts, std::vector<token_id>& out,
                      uint64_t& lost_bytes) const override;
  std::string bytes_of(std::string_view text) const override;
  std::array<uint8_t, 256> byte_weights() const override;
  bool adds_space() const override { return adds_space_; }

private:
  struct piece {
    token_id id;
    float score;
  };
  struct workspace;

  size_t word_end(std::string_view escaped, size_t begin) const;
  void encode_word(std::string_view word, workspace& w, std::vector<token_id>& out,
                   uint64_t& lost_bytes) const;
  void push_pair(std::string_view word, workspace& w, uint32_t left) const;
  void append_bytes(std::string_view bytes, std::vector<token_id>& out, uint64_t& lost_bytes) const;

  bool adds_space_;
  bool words_stand_alone_ = true;  ///< No token has ▁ after another character.
  size_t longest_ = 0;             ///< Bytes of the longest piece.
  text_table texts_;
  std::vector<piece> pieces_;  ///< By number in texts_.
  std::array<std::optional<token_id>, 256> bytes_{};
  std::optional<token_id> unknown_;
};

}  // namespace llmos
