#include "tools/examples/recommender/ranking.hpp"

#include <doctest/doctest.h>

using namespace llmos::examples;

namespace {

const item soup = {"soup", "Soup", "cooking", "Hot."};
const item rose = {"rose", "Roses", "gardening", "Red."};
const item mars = {"mars", "Mars", "astronomy", "Far."};

std::string render(const std::vector<ranked>& all) {
  std::string out;
  for (const auto& x : all) out += x.what->id + " ";
  return out;
}

}  // namespace

TEST_SUITE("tools.examples.recommender.ranking") {
  TEST_CASE("a list of likes ends where the next goes on") {
    CHECK(prompt_of({}) == "A reader likes these titles:\n-");
    CHECK(prompt_of({&soup, &rose}) + entry_of(mars) ==
          "A reader likes these titles:\n- cooking: Soup\n- gardening: Roses\n- astronomy: Mars");
  }

  TEST_CASE("the newest likes are shown") {
    std::vector<const item*> likes(max_likes_shown, &rose);
    const auto shown = prompt_of(likes);
    likes.insert(likes.begin(), 5, &soup);
    CHECK(prompt_of(likes) == shown);
  }

  TEST_CASE("what the profile makes likelier comes first") {
    struct row {
      const char* name;
      std::vector<double> theirs, nobodys;
      const char* want;
    };
    const row rows[] = {
        {"no difference keeps the order", {-3, -2, -1}, {-3, -2, -1}, "soup rose mars "},
        {"likely anyway is no merit", {-1, -5, -9}, {-1, -6, -11}, "mars rose soup "},
        {"equal ones keep their order", {-2, -1, -1}, {-2, -2, -2}, "rose mars soup "},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      CHECK(render(rank({&soup, &rose, &mars}, r.theirs, r.nobodys)) == r.want);
    }
  }

  TEST_CASE("an explanation begins with what is known") {
    CHECK(opening_of(rose, {&soup, &rose}) == "You like gardening, and this book");
    CHECK(opening_of(rose, {&soup}) == "This book");
    CHECK(explanation_prompt(rose, {&soup, &mars})
              .ends_with("\n\nLiked: Soup; Mars\nTitle: Roses. Red.\nWhy: This book"));
    CHECK(explanation_prompt(rose, {}).ends_with(
        "\n\nLiked: nothing yet\nTitle: Roses. Red.\nWhy: This book"));
  }

  TEST_CASE("a sentence gets its end back") {
    CHECK(sentence_of("It is red", ". ", false) == "It is red.");
    CHECK(sentence_of("Is it red", "? ", false) == "Is it red?");
    CHECK(sentence_of("It is red", "\n", false) == "It is red.");
    CHECK(sentence_of("It is red", "", true) == "It is red…");
    CHECK(sentence_of("It is red.", "", false) == "It is red.");
  }
}
