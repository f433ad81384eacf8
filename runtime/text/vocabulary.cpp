#include "runtime/text/vocabulary.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <string_view>
#include <system_error>

#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

// The largest known vocabularies have 2^18 tokens. These bounds keep what is copied out of a
// hostile file small.
constexpr size_t texts_max = 1u << 20;
constexpr size_t text_bytes_max = 1u << 28;

failure bad(std::string text) {
  return failure{ec::bad_file, std::move(text), "get another copy of the model file"};
}

// --- reading ------------------------------------------------------------------------------------

template <class T>
std::vector<T> copy_scalars(const gguf_array& array) {
  std::vector<T> out(array.count);
  if (!out.empty()) std::memcpy(out.data(), array.bytes.data(), array.count * sizeof(T));
  return out;
}

result<std::vector<std::string>> read_strings(const gguf_file& file, std::string_view key) {
  LLMOS_TRY(const gguf_array* array, file.get_array(key, gguf_type::string));
  uint64_t bytes = 0;
  for (const auto text : array->strings) bytes += text.size();
  if (array->count > texts_max || bytes > text_bytes_max) {
    return bad(std::string{key} + " holds " + std::to_string(array->count) + " texts of " +
               std::to_string(bytes) + " bytes; no model has so many");
  }
  return std::vector<std::string>(array->strings.begin(), array->strings.end());
}

result<std::optional<uint64_t>> read_id(const gguf_file& file, std::string_view key) {
  if (file.find(key) == nullptr) return std::optional<uint64_t>{};
  LLMOS_TRY(const uint64_t id, file.get_uint(key));
  // -1 as a 32-bit number is how converters write "none".
  if (id == std::numeric_limits<uint32_t>::max()) return std::optional<uint64_t>{};
  return std::optional<uint64_t>{id};
}

result<std::optional<bool>> read_flag(const gguf_file& file, std::string_view key) {
  if (file.find(key) == nullptr) return std::optional<bool>{};
  LLMOS_TRY(const bool flag, file.get_bool(key));
  return std::optional<bool>{flag};
}

result<std::optional<std::vector<float>>> read_scores(const gguf_file& file) {
  constexpr std::string_view key = "tokenizer.ggml.scores";
  const gguf_entry* entry = file.find(key);
  if (entry == nullptr) return std::optional<std::vector<float>>{};
  const auto* array = std::get_if<gguf_array>(&entry->value);
  if (array != nullptr && array->element_type == gguf_type::i32) {
    const auto whole = copy_scalars<int32_t>(*array);
    return std::optional{std::vector<float>(whole.begin(), whole.end())};
  }
  LLMOS_TRY(array, file.get_array(key, gguf_type::f32));
  return std::optional{copy_scalars<float>(*array)};
}

// --- checking -----------------------------------------------------------------------------------

/// Texts that end a generation in the models the field knows.
constexpr std::string_view ending_texts[] = {"<|eot_id|>",
                                             "<|im_end|>",
                                             "<|end|>",
                                             "<|return|>",
                                             "<|call|>",
                                             "<|flush|>",
                                             "<|calls|>",
                                             "<end_of_turn>",
                                             "<|endoftext|>",
                                             "</s>",
                                             "<|eom_id|>",
                                             "<EOT>",
                                             "_<EOT>",
                                             "[EOT]",
                                             "[EOS]",
                                             "<|end_of_text|>",
                                             "<end_of_utterance>",
                                             "<eos>",
                                             "<turn|>",
                                             "<|tool_response>",
                                             "<｜end▁of▁sentence｜>",
                                             "[e~["};

/// Texts of the fill-in-the-middle tokens that end a generation too.
constexpr std::string_view fim_pad_texts[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
                                              "[PAD]"};
constexpr std::string_view fim_rep_texts[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                              "<REPO>", "<reponame>"};
constexpr std::string_view fim_sep_texts[] = {"<|file_sep|>"};

/// Texts of control tokens that do not end a generation.
constexpr std::string_view fim_prefix_texts[] = {"<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",
                                                 "<｜fim▁begin｜>", "<PRE>",        "▁<PRE>",
                                                 "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view fim_suffix_texts[] = {"<|fim_suffix|>",  "<fim-suffix>", "<fim_suffix>",
                                                 "<｜fim▁hole｜>",  "<SUF>",        "▁<SUF>",
                                                 "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view fim_middle_texts[] = {"<|fim_middle|>",  "<fim-middle>", "<fim_middle>",
                                                 "<｜fim▁end｜>",   "<MID>",        "▁<MID>",
                                                 "<|code_middle|>", "<|middle|>"};

/// The lowest id that has one of the texts.
std::optional<token_id> first_of(const vocabulary& v, std::span<const std::string_view> texts) {
  std::optional<token_id> out;
  for (const auto text : texts) {
    const auto id = v.find(text);
    if (id && (!out || *id < *out)) out = id;
  }
  return out;
}

class checker {
public:
  checker(const vocabulary_source& source, bool adds_bos) : source_{source}, adds_bos_{adds_bos} {}

  result<vocabulary> run() {
    LLMOS_TRY_VOID(add_tokens());
    LLMOS_TRY_VOID(add_kinds());
    LLMOS_TRY_VOID(add_scores());
    LLMOS_TRY_VOID(add_special_ids());
    correct_kinds();
    out_.end_of_generation.assign(ending_.begin(), ending_.end());
    mark_strips();
    return std::move(out_);
  }

private:
  result<void> add_tokens() {
    const auto& tokens = source_.tokens;
    if (tokens.empty()) {
      return failure{ec::not_found, "tokenizer.ggml.tokens is empty",
                     "the model has no vocabulary"};
    }
    size_t bytes = 0;
    for (const auto& t : tokens) bytes += t.size();
    out_.texts.reserve(tokens.size(), bytes);
    for (const auto& t : tokens) {
      if (out_.texts.add(t) || t.empty()) continue;
      return bad("tokenizer.ggml.tokens: '" + printable(t, shown_bytes) + "' is token " +
                 std::to_string(*out_.texts.find(t)) + " and token " +
                 std::to_string(out_.size() - 1));
    }
    return {};
  }

  result<void> check_length(std::string_view key, size_t length) const {
    if (length == out_.size()) return {};
    return bad(std::string{key} + " has " + std::to_string(length) + " entries for " +
               std::to_string(out_.size()) + " tokens");
  }

  result<void> add_kinds() {
    out_.kinds.assign(out_.size(), token_kind::normal);
    if (!source_.kinds) return {};
    LLMOS_TRY_VOID(check_length("tokenizer.ggml.token_type", source_.kinds->size()));
    for (uint32_t i = 0; i < out_.size(); ++i) {
      const int32_t kind = (*source_.kinds)[i];
      const bool known = kind >= 0 && kind <= static_cast<int32_t>(token_kind::byte);
      out_.kinds[i] = known ? static_cast<token_kind>(kind) : token_kind::undefined;
      if (out_.kinds[i] == token_kind::byte && !byte_of_token_text(out_.texts[i])) {
        return bad("tokenizer.ggml.tokens: byte token " + std::to_string(i) + " reads '" +
                   printable(out_.texts[i], shown_bytes) + "', not like <0x0A>");
      }
    }
    return {};
  }

  result<void> add_scores() {
    out_.scores.assign(out_.size(), 0.0f);
    if (!source_.scores) return {};
    LLMOS_TRY_VOID(check_length("tokenizer.ggml.scores", source_.scores->size()));
    const auto nan = std::find_if(source_.scores->begin(), source_.scores->end(),
                                  [](float x) { return std::isnan(x); });
    if (nan != source_.scores->end()) {
      return bad("tokenizer.ggml.scores: the score of token " +
                 std::to_string(nan - source_.scores->begin()) + " is not a number");
    }
    out_.scores = *source_.scores;
    return {};
  }

  /// Checks one id; `fallback` stands in for a missing key where the vocabulary reaches that far.
  result<std::optional<token_id>> special_id(const char* key, std::optional<uint64_t> id,
                                             std::optional<uint64_t> fallback = {}) const {
    if (!id && fallback && *fallback < out_.size()) id = fallback;
    if (!id) return std::optional<token_id>{};
    if (*id < out_.size()) return std::optional<token_id>{static_cast<token_id>(*id)};
    return bad(std::string{"tokenizer.ggml."} + key + " is " + std::to_string(*id) +
               " but the vocabulary has " + std::to_string(out_.size()) + " tokens");
  }

  result<void> add_special_ids() {
    // Old SentencePiece files rely on the ids of the original LLaMA vocabulary.
    const bool pieces = source_.model == "llama";
    using id = std::optional<uint64_t>;
    LLMOS_TRY(out_.bos, special_id("bos_token_id", source_.bos, pieces ? id{1} : id{}));
    LLMOS_TRY(out_.eos, special_id("eos_token_id", source_.eos, pieces ? id{2} : id{}));
    LLMOS_TRY(out_.unk, special_id("unknown_token_id", source_.unk, pieces ? id{0} : id{}));
    LLMOS_TRY(auto eot, special_id("eot_token_id", source_.eot));
    LLMOS_TRY(auto eom, special_id("eom_token_id", source_.eom));
    LLMOS_TRY(fim_pad_, special_id("fim_pad_token_id", source_.fim_pad));
    LLMOS_TRY(fim_rep_, special_id("fim_rep_token_id", source_.fim_rep));
    LLMOS_TRY(fim_sep_, special_id("fim_sep_token_id", source_.fim_sep));
    for (const auto& ending : {out_.eos, eot, eom}) {
      if (ending) ending_.insert(*ending);
    }
    return add_flags();
  }

  result<void> add_flags() {
    const auto asks_without = [](std::optional<bool> flag, std::optional<token_id> id) {
      return flag.value_or(false) && !id;
    };
    if (asks_without(source_.add_bos, out_.bos)) {
      return bad(
          "tokenizer.ggml.add_bos_token is true but there is no tokenizer.ggml.bos_token_id");
    }
    if (asks_without(source_.add_eos, out_.eos)) {
      return bad(
          "tokenizer.ggml.add_eos_token is true but there is no tokenizer.ggml.eos_token_id");
    }
    out_.add_bos = source_.add_bos.value_or(adds_bos_ && out_.bos.has_value());
    out_.add_eos = source_.add_eos.value_or(false);
    return {};
  }

  void set_kind(std::optional<token_id> id, token_kind kind) {
    if (id) out_.kinds[static_cast<size_t>(*id)] = kind;
  }

  void correct_kinds() {
    for (const auto text : ending_texts) {
      const auto id = out_.find(text);
      set_kind(id, token_kind::control);
      if (id) ending_.insert(*id);
    }
    add_fill_in_the_middle();
    // gpt-oss shows its channel structure as text.
    for (const auto text : {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}) {
      set_kind(out_.find(text), token_kind::user_defined);
    }
    drop_false_endings();
  }

  void add_fill_in_the_middle() {
    if (!fim_pad_) set_kind(fim_pad_ = first_of(out_, fim_pad_texts), token_kind::control);
    if (!fim_rep_) set_kind(fim_rep_ = first_of(out_, fim_rep_texts), token_kind::control);
    if (!fim_sep_) set_kind(fim_sep_ = first_of(out_, fim_sep_texts), token_kind::control);
    for (const auto& id : {fim_pad_, fim_rep_, fim_sep_}) {
      if (id) ending_.insert(*id);
    }
    set_kind(first_of(out_, fim_prefix_texts), token_kind::control);
    set_kind(first_of(out_, fim_suffix_texts), token_kind::control);
    set_kind(first_of(out_, fim_middle_texts), token_kind::control);
  }

  bool ends(std::string_view text) const {
    const auto id = out_.find(text);
    return id && ending_.count(*id) != 0;
  }

  /// Where <|end|> closes a channel and </s> is plain text, they do not end the answer.
  void drop_false_endings() {
    const bool calls = ends("<|call|>") || ends("<|calls|>");
    if (ends("<|end|>") && calls && (ends("<|return|>") || ends("<|flush|>"))) {
      ending_.erase(*out_.find("<|end|>"));
      set_kind(out_.find("<|end|>"), token_kind::user_defined);
    }
    if (ends("<|tool_response>") && ends("</s>")) {
      ending_.erase(*out_.find("</s>"));
      set_kind(out_.find("</s>"), token_kind::normal);
    }
  }

  /// GGUF has no key for what Hugging Face calls rstrip; Phi-3 is known by its name.
  void mark_strips() {
    out_.strips_right.assign(out_.size(), false);
    std::string name = source_.general_name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
    for (size_t i = 0; i < out_.size(); ++i) {
      const auto kind = out_.kinds[i];
      out_.strips_right[i] = kind == token_kind::control || kind == token_kind::user_defined ||
                             kind == token_kind::unknown;
    }
    for (const auto text : {"<unk>", "<s>", "<|endoftext|>"}) {
      if (const auto id = out_.find(text)) out_.strips_right[static_cast<size_t>(*id)] = false;
    }
  }

  const vocabulary_source& source_;
  bool adds_bos_;
  vocabulary out_;
  std::optional<token_id> fim_pad_, fim_rep_, fim_sep_;
  std::set<token_id> ending_;
};

}  // namespace

std::string byte_token_text(uint8_t byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", byte);
  return text;
}

std::optional<uint8_t> byte_of_token_text(std::string_view text) {
  uint32_t byte = 0;
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  const char* end = text.data() + 5;
  const auto read = std::from_chars(text.data() + 3, end, byte, 16);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return static_cast<uint8_t>(byte);
}

std::optional<token_id> vocabulary::find(std::string_view text) const {
  const auto number = texts.find(text);
  return number ? std::optional<token_id>{static_cast<token_id>(*number)} : std::nullopt;
}

result<vocabulary_source> read_vocabulary(const gguf_file& file) {
  vocabulary_source out;
  if (file.find("tokenizer.ggml.model") == nullptr) {
    return failure{ec::not_found, file.path() + ": no tokenizer.ggml.model",
                   "the file has no vocabulary; use the model's own GGUF file"};
  }
  LLMOS_TRY(out.model, file.get_string("tokenizer.ggml.model"));
  LLMOS_TRY(out.general_name, file.get_string_or("general.name", ""));
  if (file.find("tokenizer.ggml.pre") != nullptr) {
    LLMOS_TRY(out.pre, file.get_string("tokenizer.ggml.pre"));
  }
  LLMOS_TRY(out.tokens, read_strings(file, "tokenizer.ggml.tokens"));
  if (file.find("tokenizer.ggml.merges") != nullptr) {
    LLMOS_TRY(out.merges, read_strings(file, "tokenizer.ggml.merges"));
  }
  if (file.find("tokenizer.ggml.token_type") != nullptr) {
    LLMOS_TRY(const gguf_array* kinds, file.get_array("tokenizer.ggml.token_type", gguf_type::i32));
    out.kinds = copy_scalars<int32_t>(*kinds);
  }
  LLMOS_TRY(out.scores, read_scores(file));
  LLMOS_TRY(out.bos, read_id(file, "tokenizer.ggml.bos_token_id"));
  LLMOS_TRY(out.eos, read_id(file, "tokenizer.ggml.eos_token_id"));
  LLMOS_TRY(out.eot, read_id(file, "tokenizer.ggml.eot_token_id"));
  LLMOS_TRY(out.eom, read_id(file, "tokenizer.ggml.eom_token_id"));
  LLMOS_TRY(out.unk, read_id(file, "tokenizer.ggml.unknown_token_id"));
  LLMOS_TRY(out.fim_pad, read_id(file, "tokenizer.ggml.fim_pad_token_id"));
  LLMOS_TRY(out.fim_rep, read_id(file, "tokenizer.ggml.fim_rep_token_id"));
  LLMOS_TRY(out.fim_sep, read_id(file, "tokenizer.ggml.fim_sep_token_id"));
  LLMOS_TRY(out.add_bos, read_flag(file, "tokenizer.ggml.add_bos_token"));
  LLMOS_TRY(out.add_eos, read_flag(file, "tokenizer.ggml.add_eos_token"));
  LLMOS_TRY(out.add_space_prefix, read_flag(file, "tokenizer.ggml.add_space_prefix"));
  return out;
}

result<vocabulary> check_vocabulary(const vocabulary_source& source, bool adds_bos) {
  return checker{source, adds_bos}.run();
}

}  // namespace llmos
