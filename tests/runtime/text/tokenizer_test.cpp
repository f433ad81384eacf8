#include "runtime/text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "runtime/text/pre_tokenizer.hpp"
#include "runtime/text/unicode.hpp"
#include "runtime/text/vocabulary.hpp"
#include "tests/support/gguf_writer.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/small_vocabulary.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

/// Ids as vocabulary texts, parted by spaces.
std::string render(const tokenizer& t, const std::vector<token_id>& ids) {
  std::string out;
  for (const token_id id : ids) {
    if (!out.empty()) out += ' ';
    out += t.vocabulary_text(id);
  }
  return out;
}

std::string encoded(const tokenizer& t, std::string_view text, encode_options options = {}) {
  const auto ids = t.encode(text, options);
  REQUIRE(ids.ok());
  return render(t, *ids);
}

std::string error_of(const vocabulary_source& source) {
  const auto made = make_tokenizer(source);
  return made.ok() ? "" : to_string(made.error());
}

const std::vector<std::string> some_merges = {"h e",    "l l",     "he ll", "a a",
                                              "hell o", "Ġ hello", "aa a"};

}  // namespace

TEST_SUITE("runtime.text.tokenizer") {
  TEST_CASE("pairs merge by rank, then from the left") {
    const auto t = test::make(test::small_bpe(some_merges));
    struct row {
      const char* text;
      const char* want;
    };
    const row rows[] = {
        {"", ""},
        {"hello", "hello"},
        {"hello hello", "hello Ġhello"},
        {"hel", "he l"},
        {"lll", "ll l"},
        {"aaaa", "aa aa"},
        {"aaaaa", "aa aaa"},
        {"x\n", "x Ċ"},
        {"h\xC3\xA9", "h Ã ©"},
        {"a\xFF", "a ï ¿ ½"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.text);
      CHECK(encoded(*t, r.text) == r.want);
    }
  }

  TEST_CASE("short and long pieces merge alike") {
    // 'a' runs long enough for the heap, with a word in front that makes them odd.
    const auto t = test::make(test::small_bpe(some_merges));
    for (const size_t n : {31, 32, 33, 34, 100, 101}) {
      CAPTURE(n);
      std::string want;
      for (size_t i = 0; i < n / 2; ++i) want += i == 0 ? "aa" : " aa";
      if (n % 2 != 0) want += "a";  // the last pair took the rest: "aaa"
      CHECK(encoded(*t, std::string(n, 'a')) == want);
    }
  }

  TEST_CASE("a megabyte without a break takes no quadratic time") {
    const auto t = test::make(test::small_bpe(some_merges));
    for (const char c : {'a', ' ', '\n', '7', '~'}) {
      const std::string text(1 << 20, c);
      const auto ids = t->encode(text, {});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids) == text);
    }
  }

  TEST_CASE("the first of two equal merges counts") {
    auto source = test::small_bpe({"a b", "b c", "a b"});
    CHECK(encoded(*test::make(source), "abc") == "ab c");
  }

  TEST_CASE("a merge whose result is no token falls back to its bytes") {
    auto source = test::small_bpe({"q u"});
    source.merges = {"q u", "a b", "ab c"};
    const auto t = test::make(source);
    CHECK(encoded(*t, "qu") == "qu");
    CHECK(encoded(*t, "abc") == "a b c");
  }

  TEST_CASE("bytes without a token are counted, not replaced") {
    auto source = test::small_bpe({});
    source.tokens['z'] = "[nothing]";
    const auto t = test::make(source);
    uint64_t lost = 0;
    encode_options options;
    options.lost_bytes = &lost;
    CHECK(encoded(*t, "azbz", options) == "a b");
    CHECK(lost == 2);
    CHECK(encoded(*t, "ab", options) == "a b");
    CHECK(lost == 0);
  }

  TEST_CASE("control tokens are recognised on request, user-defined ones always") {
    const auto t = test::make(test::small_bpe({}));
    encode_options special;
    special.special = true;
    CHECK(encoded(*t, "a<|im_end|>b", special) == "a <|im_end|> b");
    CHECK(encoded(*t, "<|im_end|", special) == "< | i m _ e n d |");
    CHECK(encoded(*t, "<|im_end|>") == "< | i m _ e n d | >");
    CHECK(encoded(*t, "a<user>b") == "a <user> b");
    CHECK(encoded(*t, "<<user><user>>") == "< <user> <user> >");
  }

  TEST_CASE("of overlapping special tokens the longest wins, then the leftmost") {
    auto source = test::small_bpe({});
    const auto add = [&](const char* text) {
      source.tokens.emplace_back(text);
      source.kinds->push_back(static_cast<int32_t>(token_kind::user_defined));
    };
    add("<a>"), add("<a><b>"), add("b><cc>"), add("xx");
    const auto t = test::make(source);
    CHECK(encoded(*t, "<a><b><cc>") == "<a><b> < c c >");
    CHECK(encoded(*t, "<b><cc><a>") == "< b><cc> <a>");
    CHECK(encoded(*t, "xxxxx") == "xx xx x");
  }

  TEST_CASE("Phi-3 takes the white space after special tokens away") {
    auto source = test::small_bpe({});
    source.general_name = "Phi-3 Mini";
    encode_options special;
    special.special = true;
    CHECK(encoded(*test::make(source), "<|im_end|> \n a", special) == "<|im_end|> a");
    CHECK(encoded(*test::make(source), "<|im_end|>\n<|im_end|>", special) ==
          "<|im_end|> <|im_end|>");
  }

  TEST_CASE("bos and eos frame the text on request") {
    const auto t = test::make(test::small_bpe({}));
    CHECK(encoded(*t, "a", {.add_bos = true, .add_eos = true}) == "<|im_start|> a <|im_end|>");
    auto source = test::small_bpe({});
    source.bos.reset();
    source.eos.reset();
    const auto without = test::make(source);
    CHECK(without->encode("a", {.add_bos = true}).error().code == ec::invalid_argument);
    CHECK(without->encode("a", {.add_eos = true}).error().code == ec::invalid_argument);
  }

  TEST_CASE("whole pieces come before merges where the pattern says so") {
    auto source = test::small_bpe({"a b", "b c"}, "llama-bpe");
    source.tokens.emplace_back("abcd");
    source.kinds->push_back(static_cast<int32_t>(token_kind::normal));
    CHECK(encoded(*test::make(source), "abcd abc") == "abcd Ġ ab c");
    source.pre = "qwen2";
    CHECK(encoded(*test::make(source), "abcd abc") == "ab c d Ġ ab c");
  }

  TEST_CASE("plain text never becomes a control token") {
    auto bpe = test::small_bpe({}, "llama-bpe");
    bpe.tokens.emplace_back("EOS");
    bpe.kinds->push_back(static_cast<int32_t>(token_kind::control));
    CHECK(encoded(*test::make(bpe), "EOS") == "E O S");
    const auto spm = test::make(test::small_spm({{"s>", -1}, {"<s", -2}, {"▁", -3}}));
    CHECK(encoded(*spm, "<s>") == "▁ <0x3C> s>");
  }

  TEST_CASE("the well-known endings end a generation") {
    auto source = test::small_bpe({});
    for (const char* text : {"<|eot_id|>", "<end_of_turn>", "<|endoftext|>", "<reponame>"}) {
      source.tokens.emplace_back(text);
      source.kinds->push_back(static_cast<int32_t>(token_kind::normal));
    }
    source.eot = 'x';
    const auto t = test::make(source);
    std::vector<token_id> want = {'x', 257};
    for (token_id id = 259; id < 263; ++id) want.push_back(id);
    const auto got = t->end_of_generation();
    CHECK(std::vector<token_id>(got.begin(), got.end()) == want);
    CHECK(t->is_control(262));
    CHECK_FALSE(t->is_control('x'));
  }

  TEST_CASE("the default of add_bos follows the pattern, the file has the last word") {
    auto source = test::small_bpe({}, "llama-bpe");
    CHECK(test::make(source)->add_bos_by_default());
    source.add_bos = false;
    CHECK_FALSE(test::make(source)->add_bos_by_default());
    CHECK_FALSE(test::make(test::small_bpe({}, "qwen2"))->add_bos_by_default());
    CHECK(test::make(test::small_spm({}))->add_bos_by_default());
  }

  TEST_CASE("decoding gives back what was encoded, byte for byte") {
    const auto t = test::make(test::small_bpe(some_merges, "llama-bpe"));
    test::splitmix64 random{3};
    const std::vector<std::string> parts = {"hello",
                                            " ",
                                            "aaaa",
                                            "\u4E2D",
                                            "\U0001F468\u200D\U0001F469",
                                            "\u00A0",
                                            "\r\n",
                                            "\t",
                                            "12345",
                                            "<|im_end|>",
                                            "<user>",
                                            "'LL",
                                            "e\u0301",
                                            std::string(1, '\0')};
    for (int round = 0; round < test::scaled(5000); ++round) {
      std::string text;
      for (uint64_t n = random.below(12); n > 0; --n) text += parts[random.below(parts.size())];
      encode_options options;
      options.special = random.below(2) == 0;
      const auto ids = t->encode(text, options);
      REQUIRE(ids.ok());
      REQUIRE(t->decode(*ids, true) == text);
    }
  }
}

TEST_SUITE("runtime.text.tokenizer.spm") {
  TEST_CASE("the pair with the highest score merges first") {
    const auto t = test::make(test::small_spm({{"▁", -9},
                                               {"a", -9},
                                               {"b", -9},
                                               {"c", -9},
                                               {"ab", -2},
                                               {"bc", -1},
                                               {"▁a", -3},
                                               {"abc", -4}}));
    struct row {
      const char* text;
      const char* want;
    };
    const row rows[] = {
        {"", ""},
        {"abc", "▁a bc"},
        {"ab", "▁ ab"},
        {"a b", "▁a ▁ b"},
        {"a  ", "▁a ▁ ▁"},
        {"\xC3\xA9", "▁ <0xC3> <0xA9>"},
        {"\xFF"
         "bc",
         "▁ <0xFF> <0x62> <0x63>"},  // FF claims four bytes, as in llama.cpp
        {"\n", "▁ <0x0A>"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.text);
      CHECK(encoded(*t, r.text) == r.want);
    }
  }

  TEST_CASE("equal scores merge from the left") {
    const auto t = test::make(test::small_spm({{"a", 0}, {"aa", 0}, {"▁", -1}}));
    CHECK(encoded(*t, "aaaaa") == "▁ aa aa a");
  }

  TEST_CASE("words are merged apart only where no token reaches across") {
    const auto t =
        test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"b", -9}, {"a▁", -1}, {"a▁b", -2}}));
    CHECK(encoded(*t, "a b") == "▁ a▁b");
  }

  TEST_CASE("text after a special token gets a space that decoding takes away") {
    const auto t = test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}}));
    for (const std::string text :
         {"a", " a", "a<|x|>a", "a <|x|> a", "<user> a<user>", "", " ", "a  "}) {
      CAPTURE(text);
      const auto ids = t->encode(text, {.special = true, .add_bos = true});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids, true) == "<s>" + text);
    }
    CHECK(encoded(*t, "a<|x|>a", {.special = true}) == "▁a <|x|> ▁a");
  }

  TEST_CASE("add_space_prefix false adds none") {
    auto source = test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}});
    source.add_space_prefix = false;
    const auto t = test::make(source);
    CHECK(encoded(*t, "a a") == "a ▁a");
    CHECK(t->decode(*t->encode(" a", {})) == " a");
  }

  TEST_CASE("a character without any token is the unknown token") {
    auto source = test::small_spm({{"▁", -9}, {"a", -9}});
    for (int b = 0; b < 256; ++b) {
      source.tokens[3 + b] = "[gone " + std::to_string(b) + "]";
      (*source.kinds)[3 + b] = static_cast<int32_t>(token_kind::unused);
    }
    const auto t = test::make(source);
    uint64_t lost = 0;
    encode_options options;
    options.lost_bytes = &lost;
    CHECK(encoded(*t, "a\u4E2Da", options) == "▁ a <unk> a");
    CHECK(lost == 3);
  }

  TEST_CASE("a megabyte without a break takes no quadratic time") {
    const auto t = test::make(test::small_spm(
        {{"▁", -9}, {"a", -9}, {"aa", -1}, {"aaaa", -2}, {"▁▁", -1}, {"▁▁▁▁", -3}}));
    for (const char c : {'a', ' ', '\n'}) {
      const std::string text(1 << 20, c);
      const auto ids = t->encode(text, {});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids) == text);
    }
  }

  TEST_CASE("decoding gives back what was encoded") {
    const auto t = test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"\u4E2D", -3}, {"▁a", -1}}));
    test::splitmix64 random{5};
    for (int round = 0; round < test::scaled(5000); ++round) {
      std::string text;
      for (uint64_t n = random.below(12); n > 0; --n) {
        // Everything below U+3000 but ▁, which stands for a space.
        const auto x = static_cast<uint32_t>(random.below(0x3000));
        if (random.below(2) == 0) {
          text += "a \u4E2D";
        } else if (x != 0x2581) {
          append_utf8(x, text);
        }
      }
      const auto ids = t->encode(text, {.special = random.below(2) == 0});
      REQUIRE(ids.ok());
      REQUIRE(t->decode(*ids, true) == text);
    }
  }
}

TEST_SUITE("runtime.text.tokenizer.files") {
  TEST_CASE("contradictory vocabularies are refused by name") {
    struct row {
      const char* name;
      std::function<void(vocabulary_source&)> spoil;
      const char* want;
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const row rows[] = {
        {"unknown model", [](auto& s) { s.model = "bert"; },
         "unsupported: tokenizer.ggml.model 'bert' is not known (llmos reads 'gpt2' (byte-level "
         "BPE) and 'llama' (SentencePiece) vocabularies)"},
        {"unknown pattern", [](auto& s) { s.pre = "xyz"; },
         "unsupported: pre-tokenizer 'xyz' is not known (its token ids cannot be guessed; use a "
         "model whose tokenizer.ggml.pre is known)"},
        {"no tokens", [](auto& s) { s.tokens.clear(); },
         "not_found: tokenizer.ggml.tokens is empty (the model has no vocabulary)"},
        {"a token twice", [](auto& s) { s.tokens[7] = s.tokens[5]; },
         "bad_file: tokenizer.ggml.tokens: 'ą' is token 5 and token 7"},
        {"kinds too short", [](auto& s) { s.kinds->pop_back(); },
         "bad_file: tokenizer.ggml.token_type has 258 entries for 259 tokens"},
        {"scores too long", [](auto& s) { s.scores.emplace(300, 0.0f); },
         "bad_file: tokenizer.ggml.scores has 300 entries for 259 tokens"},
        {"a score that is no number", [=](auto& s) { s.scores.emplace(259, nan); },
         "bad_file: tokenizer.ggml.scores: the score of token 0 is not a number"},
        {"bos out of range", [](auto& s) { s.bos = 259; },
         "bad_file: tokenizer.ggml.bos_token_id is 259 but the vocabulary has 259 tokens"},
        {"eot far out of range", [](auto& s) { s.eot = std::numeric_limits<uint64_t>::max(); },
         "bad_file: tokenizer.ggml.eot_token_id is 18446744073709551615 but the vocabulary has "
         "259 tokens"},
        {"add_bos without bos", [](auto& s) { s.bos.reset(), s.add_bos = true; },
         "bad_file: tokenizer.ggml.add_bos_token is true but there is no "
         "tokenizer.ggml.bos_token_id"},
        {"a merge of one part", [](auto& s) { s.merges = {"ab"}; },
         "bad_file: tokenizer.ggml.merges: entry 0 'ab' is not two parts with a space between"},
        {"a merge with nothing", [](auto& s) { s.merges = {"a "}; },
         "bad_file: tokenizer.ggml.merges: entry 0 'a ' is not two parts with a space between"},
        {"an odd byte token", [](auto& s) { (*s.kinds)[65] = 6; },
         "bad_file: tokenizer.ggml.tokens: byte token 65 reads 'A', not like <0x0A>"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.name);
      auto source = test::small_bpe({});
      r.spoil(source);
      const auto got = error_of(source);
      CHECK(got.substr(0, got.find(" (get another copy")) == r.want);
    }
  }

  TEST_CASE("odd but harmless vocabularies load") {
    auto source = test::small_bpe({"q u"});
    source.merges = {"\xFF\xFE \xFF", "Ġ Ġ", "x y z"};
    source.tokens[1] = "";
    source.tokens[2] = "";
    source.tokens[3] = "\xC3\x28 raw \u4E2D";
    (*source.kinds)[4] = 99;
    const auto t = test::make(source);
    const auto ids = t->encode("qu\xFF  xy", {});
    REQUIRE(ids.ok());
    std::string piece;
    t->append_piece(3, piece, false);
    CHECK(piece == "\xC3\x28 raw \u4E2D");
    CHECK(t->vocabulary_text(1) == "");
  }

  TEST_CASE("a file without tokenizer.ggml.pre gets the default pattern") {
    auto source = test::small_bpe({"1 2", "12 3"});
    source.pre.reset();
    const auto without = test::make(source);
    source.pre = "default";
    CHECK(encoded(*without, "1234 +5") == encoded(*test::make(source), "1234 +5"));
  }

  TEST_CASE("every pattern loads and covers all of a text") {
    for (const auto name : pre_tokenizer::names()) {
      CAPTURE(name);
      const auto p = pre_tokenizer::make(name);
      REQUIRE(p.ok());
      const std::string text =
          "It's 1234 \u00A0\u3000x\r\n\n  \u4E2D\u6587, (caf\u00E9)~~\u0301 \t";
      std::string whole;
      REQUIRE(p->split(text, [&](size_t begin, size_t end) {
                 REQUIRE(begin == whole.size());
                 REQUIRE(end > begin);
                 whole += text.substr(begin, end - begin);
               }).ok());
      CHECK(whole == text);
    }
  }

  TEST_CASE("long runs pass through every pattern") {
    for (const auto name : pre_tokenizer::names()) {
      CAPTURE(name);
      const auto p = pre_tokenizer::make(name);
      REQUIRE(p.ok());
      for (const char* unit : {"a", "A", " ", "\n", "7", "~", "'", "aA", " \n", "a ", "\u4E2D"}) {
        std::string text;
        while (text.size() < 40'000) text += unit;
        text += "7";  // whatever the run wants to see at its end is not there
        size_t pieces = 0;
        CHECK(p->split(text, [&](size_t, size_t) { ++pieces; }).ok());
        CHECK(pieces > 0);
      }
    }
  }

  TEST_CASE("a GGUF file says all of it") {
    const auto source = test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}});
    const auto write = [&](auto&& change) {
      test::gguf_writer w;
      w.add_kv("tokenizer.ggml.model", source.model);
      w.add_kv("tokenizer.ggml.tokens", source.tokens);
      w.add_kv("tokenizer.ggml.token_type", *source.kinds);
      w.add_kv("tokenizer.ggml.scores", *source.scores);
      w.add_kv("tokenizer.ggml.add_space_prefix", false);
      change(w);
      return w.bytes();
    };
    const auto load = [](const std::vector<std::byte>& bytes) {
      const auto file = gguf_file::parse(bytes, "test.gguf");
      REQUIRE(file.ok());
      return make_tokenizer(**file);
    };
    const auto good = load(write([](auto& w) {
      w.add_kv("tokenizer.ggml.eos_token_id", 1u);
      w.add_kv("tokenizer.ggml.add_bos_token", false);
      w.add_kv("tokenizer.ggml.eot_token_id", 4294967295u);  // -1: none
    }));
    REQUIRE(good.ok());
    CHECK(encoded(**good, "a a") == "a ▁a");
    CHECK((*good)->eos() == 1);
    CHECK((*good)->bos() == 1);  // the original LLaMA's, for want of a key
    CHECK_FALSE((*good)->add_bos_by_default());
    const auto bad = load(write([](auto& w) { w.add_kv("tokenizer.ggml.eos_token_id", 999u); }));
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().code == ec::bad_file);
    CHECK(bad.error().text.find("test.gguf: tokenizer.ggml.eos_token_id is 999") == 0);
    const auto wrong = load(write([](auto& w) { w.add_kv("tokenizer.ggml.merges", 3u); }));
    REQUIRE_FALSE(wrong.ok());
    CHECK(wrong.error().code == ec::bad_file);
  }

  TEST_CASE("a file without a vocabulary says so") {
    test::gguf_writer w;
    w.add_kv("general.name", "nothing");
    const auto bytes = w.bytes();
    const auto file = gguf_file::parse(bytes, "test.gguf");
    REQUIRE(file.ok());
    const auto made = make_tokenizer(**file);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == ec::not_found);
    CHECK(made.error().text == "test.gguf: no tokenizer.ggml.model");
  }
}
