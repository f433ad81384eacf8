#include "tools/examples/sentiment/shift.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace llmos::examples;
using series = std::vector<double>;

namespace {

series operator+(series a, const series& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Which numbers, counted from 0, were told as shifts; window 4, threshold 0.5.
std::vector<size_t> shifts_in(const series& all) {
  shift_detector detector(4, 0.5);
  std::vector<size_t> out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (detector.add(all[i]).is_shift) out.push_back(i);
  }
  return out;
}

}  // namespace

TEST_SUITE("tools.examples.sentiment.shift") {
  TEST_CASE("a shift is told once") {
    struct row {
      const char* name;
      series numbers;
      std::vector<size_t> want;
    };
    const row rows[] = {
        {"nothing", {}, {}},
        {"no baseline yet", series(3, 1.0) + series(4, -1.0), {}},
        {"always the same", series(100, 0.7), {}},
        {"within the threshold", series(20, 0.0) + series(100, 0.4), {}},
        {"one that lasts", series(20, 0.0) + series(200, 1.0), {22}},
        {"one that falls", series(20, 0.5) + series(200, -0.5), {22}},
        {"one number alone", series(20, 0.0) + series(1, 1.0) + series(20, 0.0), {}},
        {"there and back, and there again",
         series(20, 0.0) + series(6, 1.0) + series(20, 0.0) + series(6, 1.0),
         {22, 48}},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      CHECK(shifts_in(r.numbers) == r.want);
    }
  }

  TEST_CASE("the baseline is the mean of what has left the window, and then follows") {
    shift_detector detector(2, 0.5);
    CHECK(detector.add(1).baseline == 1);
    detector.add(2);
    CHECK(detector.add(4).baseline == 1);
    const auto now = detector.add(6);
    CHECK(now.window == 5);
    CHECK(now.baseline == 1.5);
    for (int i = 0; i < 100; ++i) detector.add(9);
    CHECK(detector.add(9).baseline == doctest::Approx(9).epsilon(0.001));
  }
}
