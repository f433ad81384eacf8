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
  bool special = false;  ///< Recognise special (control and user-defined) tokens in the text.
  bool add_bos = false;
  bool add_eos = false;
};

/// Text ↔ token ids of one model. Immutable, shared between threads.
class tokenizer {
public:
  virtual ~tokenizer() = default;

  /// Text (any bytes, also invalid UTF-8) → ids. Errors: invalid_argument when add_bos or add_eos
  /// is asked of a vocabulary without that token; out_of_memory when the text exceeds 1 GiB.
  virtual result<std::vector<token_id>> encode(std::string_view text,
                                               encode_options options) const = 0;

  /// Appends the bytes of one token; a token may be part of a UTF-8 character. Control tokens
  /// append nothing unless `render_special`. REQUIRES: 0 <= id < size().
  virtual void append_piece(token_id id, std::string& out, bool render_special) const = 0;

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

/// Builds the tokenizer a GGUF file describes. Errors: unsupported (names tokenizer.ggml.model or
/// the unknown tokenizer.ggml.pre pattern), bad_file (names the key), not_found (no vocabulary).
result<std::shared_ptr<const tokenizer>> make_tokenizer(const gguf_file& file);

/// Turns a stream of tokens into text without ever emitting half a UTF-8 character: incomplete
/// characters wait for the next token, bytes that can no longer become valid become U+FFFD.
class stream_decoder {
public:
  explicit stream_decoder(std::shared_ptr<const tokenizer> t, bool render_special = false);

  /// Text that became complete with this token; may be empty.
  std::string push(token_id id);
  /// What is left at the end of the stream (a broken character becomes U+FFFD).
  std::string flush();

private:
  std::shared_ptr<const tokenizer> tokenizer_;
  bool render_special_;
  std::string pending_;
};

}  // namespace llmos
