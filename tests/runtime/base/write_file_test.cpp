#include "runtime/base/write_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>

#include "runtime/base/read_file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

TEST_SUITE("runtime.base.write_file") {
  TEST_CASE("a file is written whole, replaces an older one, and leaves no draft") {
    const test::temp_dir folder;
    const auto path = folder.write("a.txt", "an older text");
    REQUIRE(write_file(path, std::string_view{"new\0text", 8}));
    CHECK(*read_file(path, 100) == std::string("new\0text", 8));
    const std::filesystem::directory_iterator files{std::filesystem::path{path}.parent_path()};
    CHECK(std::distance(begin(files), end(files)) == 1);
    struct stat s {};
    REQUIRE(::stat(path.c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
  }

  TEST_CASE("what cannot be written is named, and nothing is left behind") {
    const test::temp_dir folder;
    const auto path = folder.file("missing/a.txt");
    const auto refused = write_file(path, "text");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ec::io_error);
    CHECK(refused.error().text == "cannot write " + path + ": No such file or directory");
    const auto is_folder = folder.file("folder");
    std::filesystem::create_directory(is_folder);
    CHECK(write_file(is_folder, "text").error().text.ends_with("Is a directory"));
    const std::filesystem::directory_iterator files{std::filesystem::path{is_folder}.parent_path()};
    CHECK(std::distance(begin(files), end(files)) == 1);
  }
}
