#include <doctest/doctest.h>

#include <string>

#include "runtime/text/jinja/machine.hpp"
#include "runtime/text/jinja/search.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;
using namespace llmos::jinja;

namespace {

std::string random_text(test::splitmix64& random, size_t longest) {
  std::string out(random.next() % (longest + 1), 'a');
  for (char& c : out) {
    if (random.next() % 8 == 0) c = 'b';
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.text.jinja.search") {
  TEST_CASE("texts are found where the standard library finds them") {
    test::splitmix64 random{1};
    machine m({}, {});
    for (int i = 0; i < 20'000; ++i) {
      const std::string where = random_text(random, 300), what = random_text(random, 60);
      CAPTURE(where);
      CAPTURE(what);
      REQUIRE(find_text(m, where, what) == where.find(what));
      REQUIRE(find_last_text(m, where, what) == where.rfind(what));
    }
  }

  TEST_CASE("a search costs a step for every 64 bytes it passes") {
    const std::string s = std::string(6'400, 'a') + 'b';
    template_limits limits;
    limits.max_steps = 100;
    machine enough(limits, {});
    CHECK(find_text(enough, s, "c") == std::string::npos);
    CHECK(find_text(enough, s, "a") == 0);
    CHECK(find_last_text(enough, s, "b") == 6'400);
    CHECK_THROWS(find_last_text(enough, s, "c"));
    machine too_few(limits, {});
    CHECK_THROWS(find_text(too_few, s + s, "c"));
  }
}
