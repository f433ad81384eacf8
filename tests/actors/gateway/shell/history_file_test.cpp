#include "actors/gateway/shell/history_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "runtime/base/read_file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

using lines = std::vector<std::string>;

lines load(const std::string& path) {
  return *history_file{path}.load();
}

}  // namespace

TEST_SUITE("actors.gateway.shell.history_file") {
  TEST_CASE("inputs come back in order, with line ends and backslashes") {
    const test::temp_dir folder;
    const auto path = folder.file("state/llmos/history");
    history_file file{path};
    CHECK(file.load()->empty());
    const lines inputs{"one", "two\nlines", "back\\slash \\n", "\"\"\"\na\n\n\"\"\"", "one"};
    for (const auto& x : inputs) REQUIRE(file.append(x));
    CHECK(load(path) == inputs);
  }

  TEST_CASE("only its owner may read it") {
    const test::temp_dir folder;
    history_file file{folder.file("history")};
    REQUIRE(file.append("secret"));
    struct stat s {};
    REQUIRE(::stat(file.path().c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
  }

  TEST_CASE("two shells add to one file") {
    const test::temp_dir folder;
    history_file a{folder.file("history")}, b{folder.file("history")};
    REQUIRE(a.load());
    REQUIRE(b.load());
    REQUIRE(a.append("from a"));
    REQUIRE(b.append("from b"));
    REQUIRE(a.append("again"));
    CHECK(load(a.path()) == lines{"from a", "from b", "again"});
  }

  TEST_CASE("it is bounded: the newest stay, and a long file is shortened") {
    const test::temp_dir folder;
    const auto bulk = [&](size_t n) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += std::to_string(i) + "\n";
      return folder.write("history", text);
    };
    constexpr auto max = history_file::max_entries;
    const auto path = bulk(2 * max);
    CHECK(load(path).size() == max);
    CHECK(load(path).back() == std::to_string(2 * max - 1));
    CHECK(read_file(path, 1 << 20)->starts_with("0\n"));
    bulk(2 * max + 1);
    CHECK(load(path).front() == std::to_string(max + 1));
    CHECK(read_file(path, 1 << 20)->starts_with(std::to_string(max + 1) + "\n"));
    CHECK(load(path).size() == max);
    history_file file{path};
    REQUIRE(file.append(std::string(history_file::max_entry_bytes + 1, 'x')));
    CHECK(load(path).back() == std::to_string(2 * max));
  }

  TEST_CASE("a damaged file loses its damaged lines only") {
    const test::temp_dir folder;
    const auto path = folder.write("history", "one\n\n\xff\xfe\ntw\\x\\");
    CHECK(load(path) == lines{"one", "twx\\"});
  }

  TEST_CASE("a file that cannot be opened is named") {
    const test::temp_dir folder;
    history_file file{folder.file("")};
    const auto refused = file.load();
    CHECK(refused.error().code == ec::io_error);
    CHECK(refused.error().text.find(file.path()) != std::string::npos);
    CHECK_FALSE(file.append("x"));
  }
}
