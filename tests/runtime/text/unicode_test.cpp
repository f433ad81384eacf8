#include "runtime/text/unicode.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace llmos;

TEST_SUITE("runtime.text.unicode") {
  TEST_CASE("every character survives being written and read") {
    for (uint32_t x = 0; x <= 0x10FFFF; ++x) {
      std::string bytes;
      append_utf8(x, bytes);
      const auto step = read_utf8(bytes);
      const bool surrogate = x >= 0xD800 && x < 0xE000;
      if (step.valid == surrogate || (!surrogate && step.code_point != x)) {
        FAIL("code point " << x);
      }
    }
  }

  TEST_CASE("ill-formed sequences end at the maximal subpart") {
    struct row {
      const char* name;
      std::string_view bytes;
      int length;
      bool incomplete;
    };
    const row rows[] = {
        {"lone continuation", "\x80z", 1, false},
        {"overlong lead C0", "\xC0\x80", 1, false},
        {"overlong three bytes", "\xE0\x80\x80", 1, false},
        {"surrogate", "\xED\xA0\x80", 1, false},
        {"above U+10FFFF", "\xF4\x90\x80\x80", 1, false},
        {"byte FF", "\xFF", 1, false},
        {"two of three, then text", "\xE4\xB8z", 2, false},
        {"three of four, then text", "\xF0\x9F\x98z", 3, false},
        {"two of three, then the end", "\xE4\xB8", 2, true},
        {"one of four, then the end", "\xF0", 1, true},
        {"three of four, then the end", "\xF0\x9F\x98", 3, true},
    };
    for (const auto& r : rows) {
      CAPTURE(r.name);
      const auto step = read_utf8(r.bytes);
      CHECK_FALSE(step.valid);
      CHECK(step.code_point == 0xFFFD);
      CHECK(step.length == r.length);
      CHECK(step.incomplete == r.incomplete);
    }
  }

  TEST_CASE("repairing follows llama.cpp's reading") {
    struct row {
      const char* name;
      std::string_view bytes;
      std::string_view want;
    };
    const row rows[] = {
        {"valid text stays", "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80",
         "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"},
        {"each stray byte is one U+FFFD", "a\x80\xFF", "a\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"a truncated character is one U+FFFD a byte", "\xE4\xB8z", "\xEF\xBF\xBD\xEF\xBF\xBDz"},
        {"an overlong slash is a slash", "\xC0\xAF\xE0\x80\xAF\xF0\x80\x80\xAF", "///"},
        {"a surrogate stays", "\xED\xA0\xBD", "\xED\xA0\xBD"},
        {"nothing lies above U+10FFFF", "\xF4\x90\x80\x80",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.name);
      std::string storage;
      CHECK(repair_utf8(r.bytes, storage) == r.want);
    }
  }

  TEST_CASE("stand-ins keep every offset and are well-formed") {
    std::string all;
    for (uint32_t x = 0; x <= 0x10FFFF; ++x) append_utf8(x, all);
    std::string repaired_storage, subject_storage;
    const auto repaired = repair_utf8(all, repaired_storage);
    REQUIRE(repaired == all);
    const auto subject = pattern_subject(repaired, subject_storage);
    REQUIRE(subject.size() == all.size());
    size_t changed = 0;
    for (size_t at = 0; at < subject.size();) {
      const auto step = read_utf8(subject.substr(at));
      if (!step.valid) FAIL("ill-formed at " << at);
      if (subject.substr(at, step.length) != repaired.substr(at, step.length)) ++changed;
      at += step.length;
    }
    CHECK(changed == 2048 + 5110);  // the surrogates; U+180E and Unicode 15 and 15.1
  }
}
