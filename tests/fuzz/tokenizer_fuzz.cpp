// The first byte chooses: a vocabulary made of the input, which must be refused or serve without a
// crash, or a built-in one, whose decoding must give the text back.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/text/pre_tokenizer.hpp"
#include "runtime/text/tokenizer.hpp"
#include "runtime/text/unicode.hpp"
#include "runtime/text/vocabulary.hpp"
#include "tests/support/small_vocabulary.hpp"

using namespace llmos;

namespace {

/// Takes values off the front of the input; zeros when it is used up.
class input {
public:
  explicit input(std::string_view bytes) : rest_{bytes} {}

  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto out = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return out;
  }
  std::string text() {
    const size_t n = std::min<size_t>(byte() % 12, rest_.size());
    std::string out{rest_.substr(0, n)};
    rest_.remove_prefix(n);
    return out;
  }
  float number() {
    std::array<uint8_t, 4> bytes{byte(), byte(), byte(), byte()};
    float out;
    std::memcpy(&out, bytes.data(), sizeof out);
    return out;
  }
  std::string_view rest() const { return rest_; }

private:
  std::string_view rest_;
};

vocabulary_source any_vocabulary(input& in) {
  vocabulary_source out;
  const uint8_t flags = in.byte();
  out.model = (flags & 1) != 0 ? "llama" : "gpt2";
  const auto names = pre_tokenizer::names();
  if ((flags & 2) != 0) out.pre = std::string{names[in.byte() % names.size()]};
  if ((flags & 4) != 0) out.general_name = "phi-3";
  const int n_tokens = in.byte();
  for (int i = 0; i < n_tokens; ++i) out.tokens.push_back(in.text());
  if ((flags & 8) != 0) {
    out.kinds.emplace();
    for (int i = 0; i < n_tokens; ++i) out.kinds->push_back(in.byte() % 8);
  }
  if ((flags & 16) != 0) {
    out.scores.emplace();
    for (int i = 0; i < n_tokens; ++i) out.scores->push_back(in.number());
  }
  for (int n = in.byte() % 32; n > 0; --n) out.merges.push_back(in.text() + " " + in.text());
  if ((flags & 32) != 0) out.bos = in.byte(), out.eos = in.byte(), out.eot = in.byte();
  if ((flags & 64) != 0) out.add_space_prefix = (in.byte() & 1) != 0;
  if ((flags & 128) != 0) out.add_bos = true;
  return out;
}

/// Encodes `text`, which must succeed, and checks what holds for every vocabulary.
std::string round_trip(const std::shared_ptr<const tokenizer>& t, std::string_view text,
                       bool special) {
  encode_options options;
  options.special = special;
  options.add_bos = special && t->bos().has_value();
  const auto ids = t->encode(text, options);
  LLMOS_CHECK(ids.ok());
  stream_decoder d{t, true, true};
  for (const token_id id : *ids) {
    LLMOS_CHECK(id >= 0 && static_cast<uint32_t>(id) < t->size());
    LLMOS_CHECK(!first_invalid_utf8(d.push(id)));
  }
  LLMOS_CHECK(!first_invalid_utf8(d.flush()));
  const std::span<const token_id> all{*ids};
  return t->decode(options.add_bos ? all.subspan(1) : all, true);
}

void fuzz_vocabulary(input in) {
  const auto source = any_vocabulary(in);
  const auto t = make_tokenizer(source);
  if (!t.ok()) return;
  for (const bool special : {false, true}) round_trip(*t, in.rest(), special);
}

void fuzz_text(input in) {
  static const std::vector<std::string> merges = {"a a", "h e", "l l", "Ġ t",   "Ċ Ċ",
                                                  "1 2", "Ġ Ġ", "ä ½", "aa aa", "he ll"};
  static const auto bpe = [] {
    std::vector<std::shared_ptr<const tokenizer>> out;
    for (const auto name : pre_tokenizer::names()) {
      out.push_back(test::make(test::small_bpe(merges, std::string{name}.c_str())));
    }
    return out;
  }();
  static const auto spm = test::make(test::small_spm(
      {{"▁", -9}, {"a", -8}, {"▁a", -1}, {"aa", -1}, {"▁▁", -2}, {"e", -5}, {"\u00E9", -5}}));
  const auto& t = bpe[in.byte() % bpe.size()];
  const std::string_view text = in.rest();
  std::string storage;
  const auto repaired = repair_utf8(text, storage);
  for (const bool special : {false, true}) {
    LLMOS_CHECK(round_trip(t, text, special) == repaired);
    const auto back = round_trip(spm, text, special);
    const bool exact = !first_invalid_utf8(text) && text.find("\u2581") == std::string_view::npos;
    LLMOS_CHECK(!exact || back == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  input in{{reinterpret_cast<const char*>(data), size}};
  if (in.byte() % 2 == 0) {
    fuzz_vocabulary(in);
  } else {
    fuzz_text(in);
  }
  return 0;
}
