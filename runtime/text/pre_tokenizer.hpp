#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

struct compiled_pattern;  // one expression, in pre_tokenizer.cpp

/// Splits text into the pieces across which byte pairs never merge: one or more regular
/// expressions, each applied to the pieces (matches and gaps) that the one before left.
/// Immutable, shared between threads.
class pre_tokenizer {
public:
  /// The pattern that GGUF files call `name` in tokenizer.ggml.pre. Errors: unsupported, naming it.
  static result<pre_tokenizer> make(std::string_view name);

  /// All names that `make` knows, in no particular order.
  static std::vector<std::string_view> names();

  /// Receives the bytes [begin, end) of one piece; pieces come in order and cover the text.
  using sink = std::function<void(size_t begin, size_t end)>;

  /// REQUIRES: `subject` is well-formed UTF-8 (see `pattern_subject`). Errors: out_of_memory.
  result<void> split(std::string_view subject, const sink& out) const;

  /// A piece that is a token as a whole is that token, whatever the merges say.
  bool whole_pieces_first() const { return whole_pieces_first_; }
  /// The default of tokenizer.ggml.add_bos_token for this pattern.
  bool adds_bos() const { return adds_bos_; }

private:
  pre_tokenizer() = default;

  std::vector<std::shared_ptr<const compiled_pattern>> stages_;
  std::string name_;
  bool whole_pieces_first_ = false;
  bool adds_bos_ = false;
};

}  // namespace llmos
