#include "runtime/text/tokenizer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/gguf/printable.hpp"
#include "runtime/text/bpe.hpp"
#include "runtime/text/special_tokens.hpp"
#include "runtime/text/spm.hpp"
#include "runtime/text/text_encoder.hpp"
#include "runtime/text/vocabulary.hpp"

namespace llmos {

namespace {

constexpr size_t text_bytes_max = 1u << 30;

/// A vocabulary, the special tokens in it, and the way to encode what lies between them.
class model_tokenizer final : public tokenizer {
public:
  model_tokenizer(vocabulary v, std::unique_ptr<const text_encoder> encoder)
      : vocabulary_{std::move(v)}, specials_{vocabulary_}, encoder_{std::move(encoder)} {
    pieces_.reserve(size(), 0);
    for (uint32_t i = 0; i < size(); ++i) pieces_.add(piece_of(static_cast<token_id>(i)));
    const auto& strips = vocabulary_.strips_right;
    if (std::find(strips.begin(), strips.end(), true) != strips.end()) {
      for (const char c : {' ', '\t', '\n', '\v', '\f', '\r'})
        weights_[static_cast<uint8_t>(c)] = 0;
    }
    for (uint32_t i = 0; i < size(); ++i) heaviest_ = std::max(heaviest_, weight(pieces_[i]));
  }

  uint64_t tokens_at_least(std::string_view text) const override {
    return first_invalid_utf8(text) ? 0 : ceil_div(weight(text), heaviest_);
  }

  result<std::vector<token_id>> encode(std::string_view text,
                                       encode_options options) const override {
    LLMOS_TRY_VOID(check(text, options));
    std::vector<token_id> out;
    uint64_t lost_bytes = 0;
    if (options.add_bos) out.push_back(*vocabulary_.bos);
    bool starts = true;
    for (const fragment& f : specials_.partition(text, options.special)) {
      starts = starts || f.id != fragment::text;
      if (f.id != fragment::text) {
        out.push_back(f.id);
        continue;
      }
      LLMOS_TRY_VOID(
          encoder_->encode(text.substr(f.begin, f.end - f.begin), starts, out, lost_bytes));
      starts = false;
    }
    if (options.add_eos) out.push_back(*vocabulary_.eos);
    if (options.lost_bytes != nullptr) *options.lost_bytes = lost_bytes;
    return out;
  }

  void append_piece(token_id id, std::string& out, bool render_special) const override {
    const auto kind = kind_of(id);
    const bool hidden = kind == token_kind::control || kind == token_kind::unknown;
    if (!hidden || render_special) out += pieces_[static_cast<uint32_t>(id)];
  }

  bool adds_space_after(std::optional<token_id> before) const override {
    if (!encoder_->adds_space()) return false;
    if (!before) return true;
    const auto kind = kind_of(*before);
    return kind == token_kind::control || kind == token_kind::unknown ||
           kind == token_kind::user_defined;
  }

  uint32_t size() const override { return vocabulary_.size(); }
  std::optional<token_id> bos() const override { return vocabulary_.bos; }
  std::optional<token_id> eos() const override { return vocabulary_.eos; }
  bool add_bos_by_default() const override { return vocabulary_.add_bos; }
  bool add_eos_by_default() const override { return vocabulary_.add_eos; }
  std::span<const token_id> end_of_generation() const override {
    return vocabulary_.end_of_generation;
  }
  bool is_control(token_id id) const override { return kind_of(id) == token_kind::control; }
  std::string_view vocabulary_text(token_id id) const override {
    return static_cast<void>(kind_of(id)), vocabulary_.texts[static_cast<uint32_t>(id)];
  }

private:
  token_kind kind_of(token_id id) const {
    LLMOS_CHECK(id >= 0 && static_cast<uint32_t>(id) < size());
    return vocabulary_.kind(id);
  }

  /// Bytes of a text as far as each must end up in some token.
  uint64_t weight(std::string_view text) const {
    uint64_t sum = 0;
    for (const char c : text) sum += weights_[static_cast<uint8_t>(c)];
    return sum;
  }

  std::string piece_of(token_id id) const {
    const std::string_view text = vocabulary_.texts[static_cast<uint32_t>(id)];
    switch (vocabulary_.kind(id)) {
      case token_kind::control:
      case token_kind::unknown:
      case token_kind::user_defined: return std::string{text};
      case token_kind::byte: return std::string(1, static_cast<char>(*byte_of_token_text(text)));
      default: return encoder_->bytes_of(text);
    }
  }

  result<void> check(std::string_view text, const encode_options& options) const {
    if (text.size() > text_bytes_max) {
      return failure{ec::out_of_memory,
                     "the text has " + std::to_string(text.size()) + " bytes; at most " +
                         std::to_string(text_bytes_max) + " are encoded at once",
                     "send it in smaller parts"};
    }
    if (options.add_bos && !vocabulary_.bos) {
      return failure{ec::invalid_argument, "this vocabulary has no beginning-of-text token",
                     "do not ask for one"};
    }
    if (options.add_eos && !vocabulary_.eos) {
      return failure{ec::invalid_argument, "this vocabulary has no end-of-text token",
                     "do not ask for one"};
    }
    return {};
  }

  vocabulary vocabulary_;
  special_tokens specials_;
  std::unique_ptr<const text_encoder> encoder_;
  text_table pieces_;  ///< Bytes of each token, by id.
  std::array<uint8_t, 256> weights_ = encoder_->byte_weights();
  uint64_t heaviest_ = 4;  ///< Weight of the heaviest token; the unknown one may be a character.
};

result<std::shared_ptr<const tokenizer>> make_bpe(const vocabulary_source& source) {
  if (!source.pre) {
    spdlog::warn("{} says nothing of tokenizer.ggml.pre: its texts are split as by \"default\"",
                 source.general_name.empty() ? "the vocabulary"
                                             : printable(source.general_name, shown_bytes));
  }
  LLMOS_TRY(auto pieces, pre_tokenizer::make(source.pre.value_or("default")));
  LLMOS_TRY(auto v, check_vocabulary(source, pieces.adds_bos()));
  LLMOS_TRY(auto encoder, bpe_encoder::make(v, source.merges, std::move(pieces)));
  return std::shared_ptr<const tokenizer>{
      std::make_shared<model_tokenizer>(std::move(v), std::move(encoder))};
}

result<std::shared_ptr<const tokenizer>> make_spm(const vocabulary_source& source) {
  LLMOS_TRY(auto v, check_vocabulary(source, true));
  auto encoder = std::make_unique<spm_encoder>(v, source.add_space_prefix.value_or(true));
  return std::shared_ptr<const tokenizer>{
      std::make_shared<model_tokenizer>(std::move(v), std::move(encoder))};
}

}  // namespace

std::string tokenizer::decode(std::span<const token_id> ids, bool render_special) const {
  std::string out;
  std::optional<token_id> before;
  for (const token_id id : ids) {
    const size_t at = out.size();
    append_piece(id, out, render_special);
    if (adds_space_after(before) && !adds_space_after(id) && out.size() > at && out[at] == ' ') {
      out.erase(at, 1);
    }
    before = id;
  }
  return out;
}

result<std::shared_ptr<const tokenizer>> make_tokenizer(const vocabulary_source& source) {
  if (source.model == "gpt2") return make_bpe(source);
  if (source.model == "llama") return make_spm(source);
  return failure{ec::unsupported,
                 "tokenizer.ggml.model '" + printable(source.model, shown_bytes) + "' is not known",
                 "llmos reads 'gpt2' (byte-level BPE) and 'llama' (SentencePiece) vocabularies"};
}

result<std::shared_ptr<const tokenizer>> make_tokenizer(const gguf_file& file) {
  LLMOS_TRY(const auto source, read_vocabulary(file));
  auto made = make_tokenizer(source);
  if (made.ok()) return made;
  failure why = std::move(made).error();
  why.text = file.path() + ": " + why.text;
  return why;
}

}  // namespace llmos
