#include "runtime/base/read_file.hpp"

#include <doctest/doctest.h>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

TEST_SUITE("runtime.base.read_file") {
  TEST_CASE("a file comes back byte by byte, also when it is longer than one read") {
    const test::temp_dir folder;
    std::string bytes(200'000, 'x');
    bytes[100'000] = '\0';
    CHECK(*read_file(folder.write("big", bytes), bytes.size()) == bytes);
    CHECK(read_file(folder.write("empty", ""), 0)->empty());
  }

  TEST_CASE("what cannot be read is named") {
    const test::temp_dir folder;
    const auto missing = read_file(folder.file("missing"), 10);
    CHECK(missing.error().code == ec::not_found);
    CHECK(missing.error().text == folder.file("missing") + ": No such file or directory");
    CHECK(read_file(folder.file(""), 10).error().code == ec::io_error);
    const auto large = read_file(folder.write("large", "12345678901"), 10);
    CHECK(large.error().code == ec::bad_file);
    CHECK(large.error().text == folder.file("large") + " is larger than 10 bytes");
  }
}
