#include "runtime/security/api_keys.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <thread>

#include "runtime/base/read_file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

constexpr std::chrono::sys_seconds now{std::chrono::seconds{1'764'417'600}};

std::string line_of(const std::string& id, const std::string& owner, const std::string& hash) {
  return R"({"id":")" + id + R"(","owner":")" + owner + R"(","sha256":")" + hash +
         R"(","created":"2026-01-02T03:04:05Z"})" + "\n";
}

}  // namespace

TEST_SUITE("runtime.security.api_keys") {
  TEST_CASE("a key that was made belongs to its owner until it is revoked") {
    const test::temp_dir folder;
    const auto path = folder.file("keys.jsonl");
    const auto ada = add_api_key(path, "ada", now);
    const auto bob = add_api_key(path, "bob@example.org", now);
    REQUIRE_MESSAGE(ada.ok(), ada.error().text);
    REQUIRE(bob.ok());

    auto table = read_api_keys(path);
    REQUIRE_MESSAGE(table.ok(), table.error().text);
    CHECK(table->owner_of(ada->key) == "ada");
    CHECK(table->owner_of(bob->key) == "bob@example.org");
    REQUIRE(table->keys().size() == 2);
    CHECK(table->keys()[0].created == "2025-11-29T12:00:00Z");
    CHECK(table->keys()[0].id == ada->kept.id);

    REQUIRE(revoke_api_key(path, ada->kept.id));
    table = read_api_keys(path);
    CHECK_FALSE(table->owner_of(ada->key));
    CHECK(table->owner_of(bob->key) == "bob@example.org");
    CHECK(revoke_api_key(path, ada->kept.id).error().code == ec::not_found);
  }

  TEST_CASE("a key has its form, is never made twice, and is not in the file") {
    const test::temp_dir folder;
    const auto path = folder.file("keys.jsonl");
    std::set<std::string> keys;
    for (int i = 0; i < 20; ++i) {
      const auto made = add_api_key(path, "ada", now);
      REQUIRE(made.ok());
      CHECK(made->key.size() == 52);
      CHECK(made->key.starts_with("sk-llmos-"));
      CHECK(made->key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789-_") == std::string::npos);
      CHECK(keys.insert(made->key).second);
      CHECK(read_file(path, 1 << 20)->find(made->key.substr(9)) == std::string::npos);
    }
    struct stat s {};
    REQUIRE(::stat(path.c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
  }

  TEST_CASE("anything but a key belongs to nobody") {
    const std::string key = "sk-llmos-" + std::string(43, 'A');
    const auto table =
        parse_api_keys(line_of("00000001", "ada",
                               "4a6e5e1dbd5fbd8f09d8c7e0f9d8a7b2a6e5e1dbd5fbd8f09d8c7e0f9d8a7b2f"),
                       "keys");
    REQUIRE(table.ok());
    for (const auto& presented : {std::string{}, std::string{"sk-llmos-"}, key, key + "A",
                                  std::string(52, 'A'), std::string(1 << 20, 'x')}) {
      CHECK_FALSE(table->owner_of(presented));
    }
    CHECK_FALSE(api_key_table{}.owner_of(key));
  }

  TEST_CASE("a known key has the hash that other programs compute") {
    const auto table = parse_api_keys(
        "\n" +
            line_of("0000000a", "ada",
                    "c1d08550d4943617398bb3b70a2d51f81e4e3d6bfe2d315889dffa56dab08bd8") +
            " \n",
        "keys");
    REQUIRE(table.ok());
    CHECK(table->owner_of("sk-llmos-" + std::string(43, 'A')) == "ada");
    CHECK_FALSE(table->owner_of("sk-llmos-" + std::string(42, 'A') + "B"));
  }

  TEST_CASE("a file that others may read is refused with the mend") {
    const test::temp_dir folder;
    const auto path = folder.write("keys.jsonl", "");
    for (const auto& [mode, text] : {std::pair{0640u, "0640"}, {0604u, "0604"}, {0620u, "0620"}}) {
      REQUIRE(::chmod(path.c_str(), mode) == 0);
      const auto got = read_api_keys(path);
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().text == path + " may be read or written by others (mode " + text + ")");
      CHECK(got.error().hint == "chmod 600 " + path);
      CHECK_FALSE(add_api_key(path, "ada", now).ok());
    }
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    CHECK(read_api_keys(path).ok());
  }

  TEST_CASE("what is no file of keys names the line") {
    const std::string hash(64, 'a');
    struct row {
      std::string text;
      const char* complaint;
    };
    const row rows[] = {
        {"x", "keys:1:1: no valid JSON"},
        {"[]\n", "keys:1: no object of four fields"},
        {line_of("00000001", "ada", hash) + "{\"id\": 1}", "keys:2: no object of four fields"},
        {line_of("00000001", "ada", std::string(64, 'A')),
         "keys:1: sha256 is not 64 of 0-9 and a-f"},
        {line_of("00000001", "ada", "aa"), "keys:1: sha256 is not 64 of 0-9 and a-f"},
        {line_of("1", "ada", hash), "keys:1: id is not 8 of 0-9 and a-f"},
        {line_of("00000001", "a b", hash), "keys:1: owner is no name"},
        {line_of("00000001", "ada", hash) + line_of("00000001", "bob", hash),
         "keys:2: id 00000001 stands here twice"},
    };
    for (const row& r : rows) {
      CAPTURE(r.text);
      const auto got = parse_api_keys(r.text, "keys");
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text == r.complaint);
    }
  }

  TEST_CASE("an owner has a name that can stand in a log") {
    const test::temp_dir folder;
    const auto path = folder.file("keys.jsonl");
    for (const auto& owner :
         {std::string{}, std::string{"a b"}, std::string{"a\n"}, std::string(65, 'a')}) {
      CHECK(add_api_key(path, owner, now).error().code == ec::invalid_argument);
    }
    CHECK_FALSE(std::filesystem::exists(path));
    const auto missing = add_api_key(folder.file("missing/keys"), "ada", now);
    CHECK(missing.error().text ==
          "cannot open the folder " + folder.file("missing") + ": No such file or directory");
    CHECK(read_api_keys(path).error().code == ec::not_found);
  }

  TEST_CASE("keys that are made at the same time are all kept") {
    const test::temp_dir folder;
    const auto path = folder.file("keys.jsonl");
    {
      std::vector<std::jthread> makers;
      for (int i = 0; i < 4; ++i) {
        makers.emplace_back([&] {
          for (int k = 0; k < 5; ++k) static_cast<void>(add_api_key(path, "ada", now));
        });
      }
    }
    CHECK(read_api_keys(path)->keys().size() == 20);
  }

  TEST_CASE("a bearer token stands behind its scheme") {
    CHECK(bearer_token("Bearer abc") == "abc");
    CHECK(bearer_token("bearer   abc ") == "abc");
    for (const char* header : {"", "Bearer", "Bearer ", "Bearer   ", "Basic abc", "abc"}) {
      CAPTURE(header);
      CHECK_FALSE(bearer_token(header));
    }
  }
}
