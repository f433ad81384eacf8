#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer.hpp"
#include "runtime/text/vocabulary.hpp"

namespace llmos::test {

/// The GPT-2 character that stands for a byte in byte-level vocabularies.
std::string byte_character(uint8_t byte);

/// Bytes written as a byte-level vocabulary writes them.
std::string byte_level(std::string_view bytes);

/// A byte-level vocabulary: token b is byte b; then one token for each merge ("a b" in byte-level
/// text); then the control tokens <|im_start|> and <|im_end|> (bos and eos) and the user-defined
/// token <user>.
vocabulary_source small_bpe(const std::vector<std::string>& merges, const char* pre = "gpt-2");

struct scored_piece {
  std::string text;
  float score;
};

/// A SentencePiece vocabulary: <unk>, <s>, </s>, the 256 byte tokens from id 3 on, then `pieces`
/// from id 259 on, then the control token <|x|> and the user-defined token <user>.
vocabulary_source small_spm(const std::vector<scored_piece>& pieces);

/// The tokenizer of a source that is known to be good.
std::shared_ptr<const tokenizer> make(const vocabulary_source& source);

/// The vocabulary texts of a text's ids, parted by spaces. Encoding must succeed.
std::string encoded(const tokenizer& t, std::string_view text, const encode_options& options = {});

}  // namespace llmos::test
