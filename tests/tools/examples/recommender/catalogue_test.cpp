#include "tools/examples/recommender/catalogue.hpp"

#include <doctest/doctest.h>

using namespace llmos;
using namespace llmos::examples;

TEST_SUITE("tools.examples.recommender.catalogue") {
  TEST_CASE("items keep their order and are found by their id") {
    const auto all = read_catalogue(
        R"([{"id": "b", "title": "B", "category": "x", "description": "d"},
            {"id": "a", "title": "A", "category": "y", "description": "e", "more": 1}])",
        "c.json");
    REQUIRE(all);
    REQUIRE(all->size() == 2);
    CHECK((*all)[0].title == "B");
    CHECK(find_item(*all, "a")->category == "y");
    CHECK(find_item(*all, "c") == nullptr);
  }

  TEST_CASE("what is wrong is named") {
    struct row {
      const char* text;
      const char* want;
    };
    const row rows[] = {
        {"", "c.json is no array of JSON"},
        {"{}", "c.json is no array of JSON"},
        {"[1]", "c.json: item 0 is not what an item has to be"},
        {R"([{"id": "a", "title": "A", "category": "y"}])",
         "c.json: item 0 is not what an item has to be"},
        {R"([{"id": "a", "title": "A\nB", "category": "y", "description": "e"}])",
         "c.json: item 0 is not what an item has to be"},
        {R"([{"id": "a", "title": "A", "category": "y", "description": "e"},
             {"id": "a", "title": "A", "category": "y", "description": "e"}])",
         "c.json: item 1 has the id 'a' of another"},
    };
    for (const row& r : rows) {
      CAPTURE(r.text);
      const auto all = read_catalogue(r.text, "c.json");
      REQUIRE(!all);
      CHECK(all.error().code == ec::bad_file);
      CHECK(all.error().text == r.want);
    }
  }
}
