#include "tests/support/small_vocabulary.hpp"

#include <algorithm>

#include "runtime/base/check.hpp"
#include "runtime/text/unicode.hpp"

namespace llmos::test {

std::string byte_character(uint8_t byte) {
  const auto printable = [](uint32_t b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  uint32_t before = 0;
  for (uint32_t b = 0; b < byte; ++b) before += printable(b) ? 0 : 1;
  std::string out;
  append_utf8(printable(byte) ? byte : 0x100 + before, out);
  return out;
}

std::string byte_level(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += byte_character(static_cast<uint8_t>(c));
  return out;
}

vocabulary_source small_bpe(const std::vector<std::string>& merges, const char* pre) {
  vocabulary_source out;
  out.model = "gpt2";
  out.pre = pre;
  for (int b = 0; b < 256; ++b) out.tokens.push_back(byte_character(static_cast<uint8_t>(b)));
  out.merges = merges;
  for (std::string m : merges) {
    m.erase(m.find(' '), 1);
    if (std::find(out.tokens.begin(), out.tokens.end(), m) == out.tokens.end()) {
      out.tokens.push_back(m);
    }
  }
  out.kinds.emplace(out.tokens.size(), static_cast<int32_t>(token_kind::normal));
  for (const char* text : {"<|im_start|>", "<|im_end|>"}) {
    out.tokens.emplace_back(text);
    out.kinds->push_back(static_cast<int32_t>(token_kind::control));
  }
  out.bos = out.tokens.size() - 2;
  out.eos = out.tokens.size() - 1;
  out.tokens.emplace_back("<user>");
  out.kinds->push_back(static_cast<int32_t>(token_kind::user_defined));
  return out;
}

vocabulary_source small_spm(const std::vector<scored_piece>& pieces) {
  vocabulary_source out;
  out.model = "llama";
  out.kinds.emplace();
  out.scores.emplace();
  const auto add = [&](std::string text, token_kind kind, float score) {
    out.tokens.push_back(std::move(text));
    out.kinds->push_back(static_cast<int32_t>(kind));
    out.scores->push_back(score);
  };
  add("<unk>", token_kind::unknown, 0);
  add("<s>", token_kind::control, 0);
  add("</s>", token_kind::control, 0);
  for (int b = 0; b < 256; ++b) {
    add(byte_token_text(static_cast<uint8_t>(b)), token_kind::byte, 0);
  }
  for (const auto& p : pieces) add(p.text, token_kind::normal, p.score);
  add("<|x|>", token_kind::control, 0);
  add("<user>", token_kind::user_defined, 0);
  return out;
}

std::shared_ptr<const tokenizer> make(const vocabulary_source& source) {
  auto made = make_tokenizer(source);
  LLMOS_CHECK(made.ok());
  return std::move(made).value();
}

std::string encoded(const tokenizer& t, std::string_view text, const encode_options& options) {
  const auto ids = t.encode(text, options);
  LLMOS_CHECK(ids.ok());
  std::string out;
  for (const token_id id : *ids) {
    if (!out.empty()) out += ' ';
    out += t.vocabulary_text(id);
  }
  return out;
}

}  // namespace llmos::test
