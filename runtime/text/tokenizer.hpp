#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"
#include "runtime/gguf/file.hpp"

namespace llmos {

struct encode_options {
  bool special = false;  ///< Recognise control tokens in the text; user-defined ones always are.
  bool add_bos = false;
  bool add_eos = false;
  /// Receives how many bytes of the text have no token in this vocabulary and were left out, as
  /// every implementation does (small vocabularies lack some control characters).
  uint64_t* lost_bytes = nullptr;
};

/// Text ↔ token ids of one model. Immutable, shared between threads.
class tokenizer {
public:
  virtual ~tokenizer() = default;

  /// Text (any bytes, also invalid UTF-8) → ids. Errors: invalid_argument when add_bos or add_eos
  /// is asked of a vocabulary without that token; out_of_memory when the text exceeds 1 GiB or
  /// has a stretch of more than 64 MiB that cannot be split into words.
  virtual result<std::vector<token_id>> encode(std::string_view text,
                                               encode_options options) const = 0;

  /// How many tokens a text becomes at least, from its bytes and the longest token's alone: fast,
  /// whatever its size. 0 for ill-formed UTF-8, which may shrink when it is read.
  virtual uint64_t tokens_at_least(std::string_view text) const = 0;

  /// Appends the bytes of one token; a token may be part of a UTF-8 character. Control tokens
  /// append nothing unless `render_special`. REQUIRES: 0 <= id < size().
  virtual void append_piece(token_id id, std::string& out, bool render_special) const = 0;

  /// Whether `encode` puts a space before text that starts or follows token `before`. `decode`
  /// takes that space away again; a stream that continues a prompt keeps it.
  virtual bool adds_space_after(std::optional<token_id> before) const {
    return static_cast<void>(before), false;
  }

  /// The text of a whole sequence; for valid UTF-8, decode(encode(text), true) is the text
  /// (SentencePiece vocabularies cannot tell U+2581 from a space). Ill-formed bytes come back as
  /// `encode` read them. REQUIRES: every id in [0, size()).
  std::string decode(std::span<const token_id> ids, bool render_special = false) const;

  virtual uint32_t size() const = 0;
  virtual std::optional<token_id> bos() const = 0;
  virtual std::optional<token_id> eos() const = 0;
  virtual bool add_bos_by_default() const = 0;
  virtual bool add_eos_by_default() const = 0;
  /// Ids that end a generation (eos, eot, eom, <|im_end|>, …), ascending.
  virtual std::span<const token_id> end_of_generation() const = 0;
  virtual bool is_control(token_id id) const = 0;
  /// Raw vocabulary text of a token as the file has it ("Ġthe", "▁the", "<0x0A>").
  virtual std::string_view vocabulary_text(token_id id) const = 0;
};

/// Builds the tokenizer a GGUF file describes; it does not refer to the file afterwards.
/// A byte-level file without tokenizer.ggml.pre is from before there were names and gets
/// "default", as in llama.cpp. Errors: unsupported (names tokenizer.ggml.model or the unknown
/// tokenizer.ggml.pre pattern), bad_file (names the key), not_found (no vocabulary).
result<std::shared_ptr<const tokenizer>> make_tokenizer(const gguf_file& file);

struct vocabulary_source;

/// The same from keys that were read already (see vocabulary.hpp).
result<std::shared_ptr<const tokenizer>> make_tokenizer(const vocabulary_source& source);

/// Turns a stream of tokens into text without ever emitting half a UTF-8 character: incomplete
/// characters wait for the next token, bytes that can no longer become valid become U+FFFD.
class stream_decoder {
public:
  /// `from_start`: the stream is a whole text and not the continuation of one, so the space that
  /// `encode` adds in front is taken away as `decode` does.
  explicit stream_decoder(std::shared_ptr<const tokenizer> t, bool render_special = false,
                          bool from_start = false);

  /// Text that became complete with this token; may be empty.
  std::string push(token_id id);
  /// What is left at the end of the stream (a broken character becomes U+FFFD).
  std::string flush();

private:
  std::shared_ptr<const tokenizer> tokenizer_;
  bool render_special_;
  bool drops_space_;
  std::string pending_;
};

}  // namespace llmos
