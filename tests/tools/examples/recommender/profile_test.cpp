#include "tools/examples/recommender/profile.hpp"

#include <doctest/doctest.h>

#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace llmos::examples;
using ids = std::vector<std::string>;

TEST_SUITE("tools.examples.recommender.profile") {
  TEST_CASE("likes are kept in their order, each once, and survive") {
    const test::temp_dir folder;
    const auto where = folder.file("not yet there");
    auto ann = profile::open(where, "ann");
    REQUIRE(ann);
    CHECK(ann->likes().empty());
    for (const char* id : {"b", "a", "b"}) REQUIRE(ann->like(id));
    CHECK(ann->likes() == ids{"b", "a"});
    const auto again = profile::open(where, "ann");
    REQUIRE(again);
    CHECK(again->likes() == ids{"b", "a"});
    CHECK(again->has("a"));
    CHECK(profile::open(where, "bob")->likes().empty());
  }

  TEST_CASE("a name leads nowhere else") {
    for (const char* name : {"", "../ann", "a/b", ".", "a b", "\xc3\xa4"}) {
      CAPTURE(name);
      const auto x = profile::open("/tmp", name);
      REQUIRE(!x);
      CHECK(x.error().code == ec::invalid_argument);
    }
  }

  TEST_CASE("a line that is no like is named") {
    const test::temp_dir folder;
    folder.write("ann.jsonl", "{\"item\":\"a\"}\n{\"item\":\n");
    const auto ann = profile::open(folder.file("."), "ann");
    REQUIRE(!ann);
    CHECK(ann.error().code == ec::bad_file);
    CHECK(ann.error().text.ends_with("/ann.jsonl:2 is no like"));
  }
}
