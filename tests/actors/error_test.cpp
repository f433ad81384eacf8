#include "actors/error.hpp"

#include <doctest/doctest.h>

#include <caf/sec.hpp>

#include "tests/support/deterministic_system.hpp"

using namespace llmos;

TEST_SUITE("actors.error") {
  TEST_CASE("a failure survives the way through CAF") {
    const failure x{ec::over_context, "9 tokens exceed 8", "shorten it"};
    CHECK((to_failure(to_error(x)) == x));
  }

  TEST_CASE("errors that are not ours become codes of ours") {
    CHECK(to_failure(caf::make_error(caf::sec::request_timeout)).code == ec::deadline_exceeded);
    CHECK(to_failure(caf::make_error(caf::sec::runtime_error, "boom")).code == ec::internal);
  }

  TEST_CASE("a reason is in words, or what CAF says") {
    CHECK(connection_reason(caf::sec::cannot_connect_to_node) == "nothing answers there");
    CHECK(connection_reason(caf::make_error(caf::sec::runtime_error, "boom")) ==
          caf::to_string(caf::make_error(caf::sec::runtime_error, "boom")));
  }

  TEST_CASE("an error renders with its name and text") {
    test::deterministic_system s;
    CHECK(s.sys.render(to_error({ec::overloaded, "queue full", "wait"})) ==
          "overloaded(\"queue full\", \"wait\")");
  }
}
