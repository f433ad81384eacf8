#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "runtime/base/utf8.hpp"
#include "runtime/text/tokenizer.hpp"
#include "runtime/text/unicode.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/small_vocabulary.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

/// `bytes` with U+FFFD for each maximal ill-formed subpart, all at once.
std::string replaced(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const auto step = read_utf8(bytes);
    append_utf8(step.code_point, out);
    bytes.remove_prefix(step.length);
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.text.stream_decoder") {
  TEST_CASE("a character comes out when its last byte is there") {
    stream_decoder d{test::make(test::small_bpe({}))};
    CHECK(d.push('a') == "a");
    CHECK(d.push(0xF0) == "");
    CHECK(d.push(0x9F) == "");
    CHECK(d.push(0x98) == "");
    CHECK(d.push(0x80) == "\U0001F600");
    CHECK(d.flush() == "");
  }

  TEST_CASE("bytes that can no longer become a character are replaced at once") {
    stream_decoder d{test::make(test::small_bpe({}))};
    CHECK(d.push(0xFF) == "\uFFFD");
    CHECK(d.push(0xE4) == "");
    CHECK(d.push(0xB8) == "");
    CHECK(d.push('z') == "\uFFFDz");
    CHECK(d.push(0xF0) == "");
    CHECK(d.flush() == "\uFFFD");
    CHECK(d.flush() == "");
    CHECK(d.push('b') == "b");
  }

  TEST_CASE("control tokens show only on request") {
    const auto t = test::make(test::small_bpe({}));
    stream_decoder quiet{t}, loud{t, true};
    CHECK(quiet.push(*t->eos()) == "");
    CHECK(loud.push(*t->eos()) == "<|im_end|>");
  }

  TEST_CASE("a stream from the start drops the space that encoding adds, a continuation keeps it") {
    const auto t = test::make(test::small_spm({{"▁", -1}, {"a", -2}, {"▁a", 0}}));
    const auto ids = t->encode("a a", {});
    REQUIRE(ids.ok());
    stream_decoder whole{t, false, true}, tail{t};
    std::string from_start, continued;
    for (const token_id id : *ids) {
      from_start += whole.push(id);
      continued += tail.push(id);
    }
    CHECK(from_start == "a a");
    CHECK(continued == " a a");
  }

  TEST_CASE("every prefix of a stream is valid and the whole equals decoding at once") {
    const auto t =
        test::make(test::small_bpe({test::byte_level("\xF0") + " " + test::byte_level("\x9F")}));
    test::splitmix64 random{7};
    for (int round = 0; round < test::scaled(5000); ++round) {
      stream_decoder d{t};
      std::string bytes, text;
      for (uint64_t n = random.next() % 20; n > 0; --n) {
        const uint64_t lead = random.next() % 4;
        const auto id =
            static_cast<token_id>(lead == 0 ? random.next() % 257 : 0x80 + random.next() % 0x80);
        t->append_piece(id, bytes, false);
        const std::string out = d.push(id);
        REQUIRE_FALSE(first_invalid_utf8(out));
        text += out;
      }
      text += d.flush();
      REQUIRE(text == replaced(bytes));
    }
  }
}
