#include "runtime/jobs/progress.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.jobs.progress") {
  TEST_CASE("times read like a clock") {
    CHECK(clock_text(0) == "0:00");
    CHECK(clock_text(9) == "0:09");
    CHECK(clock_text(725) == "12:05");
    CHECK(clock_text(3599) == "59:59");
    CHECK(clock_text(3600) == "1:00:00");
    CHECK(clock_text(100'000) == "27:46:40");
  }

  TEST_CASE("rate and time left are those of this run") {
    CHECK(progress_text({.total = 40, .running = 4}, 0) == "0/40 done");
    CHECK(progress_text({.total = 40, .done = 10, .completion_tokens = 425}, 5000) ==
          "10/40 done, 2.0 items/s, 85 tokens/s, 0:15 left");
    CHECK(progress_text({.total = 40, .earlier = 20, .done = 9, .failed = 1}, 5000) ==
          "29/40 done, 1 failed, 2.0 items/s, 0.0 tokens/s, 0:05 left");
    CHECK(progress_text({.total = 2, .done = 2, .completion_tokens = 30}, 1000) ==
          "2/2 done, 2.0 items/s, 30 tokens/s");
  }

  TEST_CASE("a terminal shows one line that is drawn over, ten times a second at most") {
    progress_meter meter{true};
    const job_counts none{.total = 4};
    const job_counts half{.total = 4, .done = 2};
    CHECK(meter.clear().empty());
    CHECK(meter.update(none, 0) == "\r\x1b[K[........................] 0/4 done");
    CHECK(meter.update(half, 50).empty());
    CHECK(meter.update(half, 100) ==
          "\r\x1b[K[############............] 2/4 done, 20 items/s, 0.0 tokens/s, 0:00 left");
    CHECK(meter.clear() == "\r\x1b[K");
    CHECK(meter.clear().empty());
    CHECK(!meter.update(half, 110).empty());
  }

  TEST_CASE("the line fits a terminal of 80 columns") {
    const auto drawn = [](const job_counts& x, uint64_t ms) {
      return progress_meter{true}.update(x, ms).substr(4);
    };
    job_counts x{.total = 9000, .done = 4000, .failed = 12, .completion_tokens = 400'000};
    CHECK(drawn(x, 1'000'000) ==
          "[#####.......] 4000/9000 done, 12 failed, 4.0 items/s, "
          "400 tokens/s, 20:43 left");
    x = {.total = 90'000'000, .done = 40'000'000, .failed = 1'000'000, .completion_tokens = 1};
    CHECK(drawn(x, 1'000'000'000) ==
          "40000000/90000000 done, 1000000 failed, 41 items/s, 0.0 "
          "tokens/s, 331:58:41 lef");
  }

  TEST_CASE("elsewhere a line comes with every tenth and after ten seconds of silence") {
    progress_meter meter{false};
    CHECK(meter.update({.total = 100}, 0).empty());
    CHECK(meter.update({.total = 100, .done = 9}, 500).empty());
    CHECK(meter.update({.total = 100, .done = 10}, 1000) ==
          "10/100 done, 10 items/s, 0.0 tokens/s, 0:09 left\n");
    CHECK(meter.update({.total = 100, .done = 19}, 1900).empty());
    CHECK(!meter.update({.total = 100, .done = 35}, 3500).empty());
    CHECK(meter.update({.total = 100, .done = 36}, 13'499).empty());
    CHECK(!meter.update({.total = 100, .done = 36}, 13'500).empty());
    CHECK(meter.clear().empty());
  }

  TEST_CASE("a resumed job does not announce what was done before") {
    progress_meter meter{false};
    CHECK(meter.update({.total = 10, .earlier = 5}, 0).empty());
    CHECK(meter.update({.total = 10, .earlier = 5}, 1).empty());
    CHECK(!meter.update({.total = 10, .earlier = 5, .done = 1}, 2).empty());
  }
}
