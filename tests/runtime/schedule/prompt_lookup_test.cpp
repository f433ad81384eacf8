#include "runtime/schedule/prompt_lookup.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

using namespace llmos;

namespace {

using tokens = std::vector<token_id>;

/// 7 for "7 8 9" …
tokens parse(const char* text) {
  tokens out;
  for (; *text != 0; ++text) {
    if (*text != ' ') out.push_back(*text);
  }
  return out;
}

std::string render(const tokens& x) {
  return {x.begin(), x.end()};
}

std::string guess(const tokens& text, uint32_t num_prompt, uint32_t n) {
  prompt_lookup lookup{num_prompt, 1000};
  lookup.extend(text);
  return lookup.chance(0) == 0 ? "nothing" : render(lookup.guess(text, n));
}

/// Takes in `text` token by token and tells the chance of the first guess before each of its last
/// `n` tokens.
std::vector<double> chances(prompt_lookup& lookup, const tokens& text, size_t n) {
  std::vector<double> out;
  for (auto i = text.size() - n; i < text.size(); ++i) {
    lookup.extend({text.data(), i});
    out.push_back(lookup.chance(0));
  }
  return out;
}

tokens random_tokens(std::mt19937& rng, size_t n, uint32_t n_vocab) {
  tokens out(n);
  for (auto& t : out) t = static_cast<token_id>(rng() % n_vocab);
  return out;
}

}  // namespace

TEST_SUITE("runtime.schedule.prompt_lookup") {
  TEST_CASE("the guess is what followed the last tokens when they stood there before") {
    struct row {
      const char *name, *text, *want;
    };
    const row table[] = {
        {"one token in common is no match", "a b c d e b", "nothing"},
        {"two tokens", "a b c d e b c", "deb"},
        {"the later of two places", "x a b 1 2 y a b 3 4 z a b", "34z"},
        {"four tokens before two", "p q a b 1 2 y a b 3 4 p q a b", "12y"},
        {"no text before", "a b", "nothing"},
        {"too short", "a", "nothing"},
        {"a loop stays in it", "x a b c a b c a b", "cab"},
        {"one token over and over", "x a a a", "aaa"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto text = parse(r.text);
      CHECK(guess(text, static_cast<uint32_t>(text.size()), 3) == r.want);
    }
  }

  TEST_CASE("a guess that comes true is followed on, though later places match too") {
    // "c d" stands at two places; the match began at the first, with four tokens.
    CHECK(guess(parse("a b c d e f . c d x y . a b c d"), 16, 2) == "ef");
    CHECK(guess(parse("a b c d e f . c d x y . a b c d e"), 16, 1) == "f");
  }

  TEST_CASE("a longer match makes a guess likelier, and so does what came true") {
    const auto text = parse(
        "a b c d e f g h i j k l m n o p q r s t u v w x y z . "
        "a b c d e f g h i j k l m n o p q r s t u v w x y z");
    prompt_lookup lookup{27, 100};
    const auto seen = chances(lookup, text, 24);
    for (size_t i = 1; i < seen.size(); ++i) {
      CAPTURE(i);
      CHECK(seen[i] > seen[i - 1]);
    }
    CHECK(seen.front() > 0.3);
    CHECK(seen.back() < 1);
    CHECK(lookup.chance(0) >= lookup.chance(7) - 1e-9);
  }

  TEST_CASE("guesses that come false lose their chance, whether or not anybody acted on them") {
    tokens text;
    for (int i = 0; i < 40; ++i) text.insert(text.end(), {7, 8, 1000 + i});  // 7 8, never the same
    prompt_lookup lookup{2, 1000};
    double last = 1;
    for (size_t n = 5; n < text.size(); n += 3) {
      lookup.extend({text.data(), n});
      CHECK(lookup.chance(0) < last);
      last = lookup.chance(0);
    }
    CHECK(last < 0.15);
  }

  TEST_CASE("what the prompt repeats says nothing about the model") {
    tokens text;
    for (int i = 0; i < 40; ++i) text.insert(text.end(), {7, 8, 1000 + i});
    text.insert(text.end(), {7, 8});
    prompt_lookup lookup{static_cast<uint32_t>(text.size()), 1000}, fresh{4, 1000};
    lookup.extend(text);
    const auto short_text = parse("a b c a b");
    fresh.extend(short_text);
    CHECK(lookup.chance(0) == fresh.chance(0));
  }

  TEST_CASE("a long text is taken in piece by piece, without a guess before its end") {
    std::mt19937 rng{1};
    auto text = random_tokens(rng, 3 * prompt_lookup::catch_up, 50000);
    const auto n = static_cast<uint32_t>(text.size());
    std::copy_n(text.begin(), 4, text.end() - 4);
    prompt_lookup lookup{n, n + 10};
    for (int i = 0; i < 2; ++i) {
      lookup.extend(text);
      CHECK(lookup.chance(0) == 0);
    }
    lookup.extend(text);
    REQUIRE(lookup.chance(0) > 0);
    CHECK(lookup.guess(text, 8) == tokens(text.begin() + 4, text.begin() + 12));
  }

  TEST_CASE("every guess continues an earlier place of the last two tokens (random texts)") {
    for (uint32_t seed = 0; seed < 50; ++seed) {
      CAPTURE(seed);
      std::mt19937 rng{seed};
      const auto text = random_tokens(rng, 400, 2 + seed);
      prompt_lookup lookup{static_cast<uint32_t>(rng() % 400 + 1), 400};
      for (size_t n = 1; n <= text.size(); ++n) {
        lookup.extend({text.data(), n});
        if (lookup.chance(0) == 0) continue;
        const auto got = lookup.guess({text.data(), n}, 3);
        bool stands = false;
        for (size_t i = 2; i < n && !stands; ++i) {
          stands = text[i - 2] == text[n - 2] && text[i - 1] == text[n - 1] && text[i] == got[0];
        }
        REQUIRE(stands);
        REQUIRE(lookup.chance(0) <= 1);
      }
    }
  }
}
