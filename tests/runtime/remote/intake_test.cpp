#include "runtime/remote/intake.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace llmos;

namespace {

struct fixture {
  std::vector<uint64_t> marks;
  intake it{{.max_bytes_each = 100, .max_bytes = 250}};
  fixture() {
    it.restart([this](uint64_t mark) { marks.push_back(mark); });
  }
};

}  // namespace

TEST_SUITE_BEGIN("runtime.remote.intake");

TEST_CASE_FIXTURE(fixture, "a sender may have so much waiting, and again when it was handled") {
  CHECK(it.take(1, 60));
  CHECK(it.take(1, 40));
  CHECK_FALSE(it.take(1, 1));
  CHECK(it.take(2, 1));  // another one has room of its own
  REQUIRE(marks.size() == 1);
  it.handled(marks[0]);  // it was sent behind the first message
  CHECK(it.waiting_bytes() == 41);
  CHECK(it.take(1, 60));
  CHECK_FALSE(it.take(1, 1));
  REQUIRE(marks.size() == 2);
  it.handled(marks[1]);
  it.handled(marks[2]);
  CHECK(it.waiting_bytes() == 0);
  CHECK(marks.size() == 3);  // none for nothing
}

TEST_CASE_FIXTURE(fixture, "all together have a limit as well") {
  CHECK(it.take(1, 100));
  CHECK(it.take(2, 100));
  CHECK_FALSE(it.take(3, 51));
  CHECK(it.take(3, 50));
  CHECK_FALSE(it.take(4, 1));
  CHECK(it.waiting_bytes() == 250);
}

TEST_CASE_FIXTURE(fixture, "a message that is larger than the limit waits alone") {
  CHECK(it.take(1, 1000));
  CHECK_FALSE(it.take(1, 1));
  CHECK_FALSE(it.take(2, 1));
  it.handled(marks.at(0));
  CHECK(it.take(2, 1));
}

TEST_CASE_FIXTURE(fixture, "another actor begins with nothing, whatever marks the last one finds") {
  CHECK(it.take(1, 100));
  const auto old = marks.at(0);
  it.restart([this](uint64_t mark) { marks.push_back(mark); });
  CHECK(it.waiting_bytes() == 0);
  CHECK(it.take(1, 100));
  it.handled(old);
  CHECK(it.waiting_bytes() == 100);
  it.handled(marks.at(1));
  CHECK(it.waiting_bytes() == 0);
  it.handled(marks.at(1));
  CHECK(it.waiting_bytes() == 0);
}

TEST_SUITE_END();
