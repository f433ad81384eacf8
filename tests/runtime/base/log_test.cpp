#include "runtime/base/log.hpp"

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include "runtime/base/read_file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

TEST_SUITE("runtime.base.log") {
  TEST_CASE("lines at or above the level are appended to the file") {
    const test::temp_dir folder;
    const auto path = folder.write("log", "earlier\n");
    REQUIRE(set_up_log("warn", path).ok());
    spdlog::info("not this");
    spdlog::warn("but this");
    REQUIRE(set_up_log("off", "").ok());  // closes the file
    const auto text = *read_file(path, 10'000);
    CHECK(text.starts_with("earlier\n"));
    CHECK(text.ends_with(" warning: but this\n"));
    CHECK(text.find("not this") == text.npos);
  }

  TEST_CASE("a file that cannot be written is named") {
    const test::temp_dir folder;
    const auto bad = set_up_log("warn", folder.file(""));
    REQUIRE(!bad.ok());
    CHECK(bad.error().code == ec::io_error);
    CHECK(bad.error().text.find(folder.file("")) != std::string::npos);
  }
}
