#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"
#include "runtime/gguf/file.hpp"
#include "runtime/text/text_table.hpp"

namespace llmos {

/// How much of a text from the file an error shows.
inline constexpr size_t shown_bytes = 60;

/// What a token is; values are GGUF's own (tokenizer.ggml.token_type).
enum class token_kind : int32_t {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6,
};

/// Everything about tokens that a GGUF file says, still unchecked.
struct vocabulary_source {
  std::string model;                          ///< tokenizer.ggml.model: "gpt2" or "llama".
  std::optional<std::string> pre;             ///< tokenizer.ggml.pre: the pattern's name.
  std::string general_name;                   ///< general.name; some attributes hang on it.
  std::vector<std::string> tokens;            ///< Fewer than 2^28 bytes in all, and so the merges.
  std::optional<std::vector<int32_t>> kinds;  ///< One per token.
  std::optional<std::vector<float>> scores;   ///< One per token.
  std::vector<std::string> merges;            ///< "left right" in order of rank.
  std::optional<uint64_t> bos, eos, eot, eom, unk, fim_pad, fim_rep, fim_sep;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

/// Copies a file's tokenizer keys. Errors: not_found (no tokenizer.ggml.model or no tokens),
/// bad_file (names the key).
result<vocabulary_source> read_vocabulary(const gguf_file& file);

/// A checked vocabulary: distinct texts, ids in range, and kinds as llama.cpp corrects them
/// (a token that reads like a well-known control token is one, whatever the file says).
struct vocabulary {
  text_table texts;               ///< By id; a token with an empty text is never matched.
  std::vector<token_kind> kinds;  ///< By id.
  std::vector<float> scores;      ///< By id; no NaN.
  std::optional<token_id> bos, eos, unk;
  bool add_bos = false;
  bool add_eos = false;
  std::vector<token_id> end_of_generation;  ///< Ascending.
  std::vector<bool> strips_right;           ///< By id: white space after it vanishes (Phi-3).

  uint32_t size() const { return texts.size(); }
  token_kind kind(token_id id) const { return kinds[static_cast<size_t>(id)]; }
  std::optional<token_id> find(std::string_view text) const;
};

/// "<0x0A>" for 10: the text of a byte token.
std::string byte_token_text(uint8_t byte);

/// The byte that a byte token's text names, or nothing when it names none.
std::optional<uint8_t> byte_of_token_text(std::string_view text);

/// Checks what `source` says. `adds_bos` is the pattern's default where the file says nothing.
/// Errors: bad_file (names the key).
result<vocabulary> check_vocabulary(const vocabulary_source& source, bool adds_bos);

}  // namespace llmos
