#include "runtime/sampling/stop_matcher.hpp"

#include <doctest/doctest.h>

#include <random>

#include "tests/support/scale.hpp"

using namespace llmos;
using strings = std::vector<std::string>;

namespace {

/// What comes out, piece by piece, then the flush, then the match.
std::string run(const strings& stops, const strings& pieces) {
  stop_matcher m{stops};
  std::string out;
  for (const std::string& p : pieces) out += m.push(p) + "|";
  out += m.flush();
  return out + (m.matched() ? "!" + *m.matched() : "");
}

/// Where in `text` the leftmost stop string begins; text.size() when there is none.
size_t leftmost(const std::string& text, const strings& stops) {
  size_t at = text.size();
  for (const std::string& s : stops) at = std::min(at, text.find(s));
  return at;
}

}  // namespace

TEST_SUITE("runtime.sampling.stop_matcher") {
  TEST_CASE("text goes out up to what may still become a stop string") {
    struct row {
      const char* name;
      strings stops, pieces;
      const char* want;
    };
    const row rows[] = {
        {"no stops", {}, {"a", "", "b"}, "a||b|"},
        {"one piece", {"END"}, {"xENDy"}, "x|!END"},
        {"across pieces", {"END"}, {"xE", "N", "Dy", "z"}, "x||||!END"},
        {"false start", {"END"}, {"xE", "Ny"}, "x|ENy|"},
        {"start over", {"aab"}, {"a", "a", "a", "a", "b"}, "||a|a||!aab"},
        {"held at the end", {"END"}, {"xEN"}, "x|EN"},
        {"at the very start", {"END"}, {"END"}, "|!END"},
        {"leftmost wins", {"bc", "abcd"}, {"xabcd"}, "x|!abcd"},
        {"leftmost wins across pieces", {"bc", "abcd"}, {"xabc", "d"}, "x||!abcd"},
        {"the inner one after all", {"bc", "abcd"}, {"xabc", "e"}, "x|a|!bc"},
        {"the inner one at the end", {"bc", "abcd"}, {"xabc"}, "x|a!bc"},
        {"longest of one start", {"ab", "abc"}, {"xabc"}, "x|!abc"},
        {"no wait for a longer one", {"ab", "abc"}, {"xab", "c"}, "x||!ab"},
        {"whole characters", {"€!"}, {"5 €", " or 6 €", "!"}, "5 |€ or 6 ||!€!"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      CHECK(run(r.stops, r.pieces) == r.want);
    }
  }

  TEST_CASE("however the text is cut, what goes out ends where the leftmost stop string begins") {
    std::mt19937 rng{12};
    const auto random_text = [&](size_t n) {
      std::string out(n, ' ');
      for (char& c : out) c = static_cast<char>('a' + rng() % 2);
      return out;
    };
    for (int i = 0; i < test::scaled(20000); ++i) {
      strings stops(rng() % 4);
      for (std::string& s : stops) s = random_text(1 + rng() % 6);
      const std::string text = random_text(rng() % 30);
      const size_t want = leftmost(text, stops);
      CAPTURE(text);

      stop_matcher m{stops};
      std::string out;
      size_t given = 0;
      while (given < text.size() && !m.matched()) {
        const size_t n = std::min(text.size() - given, size_t{1 + rng() % 4});
        out += m.push(std::string_view(text).substr(given, n));
        given += n;
        REQUIRE(out.size() <= leftmost(text, stops));
      }
      out += m.flush();
      REQUIRE(out == text.substr(0, want));
      REQUIRE(m.matched().has_value() == (want < text.size()));
      if (!m.matched()) continue;
      std::string longest;  // of those complete when it ended
      for (const std::string& s : stops) {
        const bool complete = want + s.size() <= given && text.compare(want, s.size(), s) == 0;
        if (complete && s.size() > longest.size()) longest = s;
      }
      REQUIRE(*m.matched() == longest);
      REQUIRE(m.push(text).empty());
      REQUIRE(m.flush().empty());
    }
  }

  TEST_CASE("nothing is held back longer than it must be") {
    std::mt19937 rng{13};
    for (int i = 0; i < test::scaled(5000); ++i) {
      const std::string stop = rng() % 2 ? "abab" : "aabaa";
      stop_matcher m{{stop}};
      std::string given, out;
      for (int k = 0; k < 12 && !m.matched(); ++k) {
        const std::string piece(1, static_cast<char>('a' + rng() % 2));
        given += piece;
        out += m.push(piece);
        if (m.matched()) break;
        size_t suffix = std::min(given.size(), stop.size() - 1);
        while (!stop.starts_with(given.substr(given.size() - suffix))) --suffix;
        REQUIRE(out == given.substr(0, given.size() - suffix));
      }
    }
  }
}
