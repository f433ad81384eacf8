#include "runtime/base/nearest.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace llmos;

TEST_SUITE("runtime.base.nearest") {
  TEST_CASE("edit distance counts insertions, deletions and replacements") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("", "ab") == 2);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("threads", "threads") == 0);
  }

  TEST_CASE("the name a person meant is found, and none when nothing is close") {
    const std::vector<std::string> known = {"engine.threads", "engine.context", "log.level"};
    struct row {
      const char* name;
      std::string typed, want;
    };
    const row table[] = {
        {"a typing error", "engine.treads", "engine.threads"},
        {"the section left out", "context", "engine.context"},
        {"too far away", "temperature", ""},
        {"nothing typed", "", ""},
        {"a kilobyte", std::string(1000, 'x'), ""},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(nearest_name(r.typed, known).value_or("") == r.want);
    }
  }
}
