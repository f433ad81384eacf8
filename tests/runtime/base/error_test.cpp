#include "runtime/base/error.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "runtime/base/result.hpp"

using namespace llmos;

TEST_SUITE("runtime.base.error") {
  TEST_CASE("every code has a name of its own and a stray byte has none") {
    std::set<std::string> names;
    for (int i = 0; i < static_cast<int>(ec::count_); ++i)
      names.insert(to_string(static_cast<ec>(i)));
    CHECK(names.size() == static_cast<size_t>(ec::count_));
    CHECK(names.count("unknown") == 0);
    CHECK(std::string{to_string(static_cast<ec>(255))} == "unknown");
  }

  TEST_CASE("a failure reads as code, thing and mend") {
    CHECK(to_string(failure{ec::bad_file, "a.gguf: cut off", "fetch it again"}) ==
          "bad_file: a.gguf: cut off (fetch it again)");
    CHECK(to_string(failure{ec::io_error, "disk", ""}) == "io_error: disk");
  }

  TEST_CASE("LLMOS_TRY hands the failure on and binds the value") {
    auto half = [](int x) -> result<int> {
      if (x % 2) return failure{ec::invalid_argument, "odd", ""};
      return x / 2;
    };
    auto quarter = [&](int x) -> result<int> {
      LLMOS_TRY(int h, half(x));
      LLMOS_TRY(int q, half(h));
      return q;
    };
    CHECK(quarter(12).value() == 3);
    CHECK(quarter(6).error().text == "odd");
  }
}
