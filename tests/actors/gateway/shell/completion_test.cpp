#include "actors/gateway/shell/completion.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

completion_sources sources() {
  return {{"temperature", "timing", "top_k", "top_p"},
          [] {
            return std::vector<std::string>{"qwen", "smol lm"};
          },
          [](const std::string& path) {
            std::vector<std::string> out;
            for (const auto* name : {"notes.md", "my file.txt", "src/"}) {
              if (std::string{name}.starts_with(path)) out.emplace_back(name);
            }
            return out;
          }};
}

/// "6:temperature timing, common t"
std::string render(const completion& c) {
  std::string out = std::to_string(c.begin) + ":";
  for (const auto& x : c.options) out += (x == c.options.front() ? "" : " ") + x;
  return out + ", common " + c.common();
}

}  // namespace

TEST_SUITE("actors.gateway.shell.completion") {
  TEST_CASE("commands, keys, names and files are completed where they may stand") {
    struct row {
      const char* before;
      const char* want;
    };
    const row table[] = {
        {"", "0:, common "},
        {"he", "0:, common "},
        {"/he", "0:/help, common /help"},
        {"/s", "0:/save /set /show /stats /system, common /s"},
        {"/st", "0:/stats, common /stats"},
        {"/zzz", "0:, common "},
        {"/set t", "5:temperature timing top_k top_p, common t"},
        {"/set te", "5:temperature, common temperature"},
        {"/set top_", "5:top_k top_p, common top_"},
        {"/set  te", "6:temperature, common temperature"},
        {"/set top_k  1", "12:, common "},
        {"/set top_k 1", "11:, common "},
        {"/show hi", "6:history, common history"},
        {"/load q", "6:qwen, common qwen"},
        {"/load s", "6:smol\\ lm src/, common s"},
        {"/load smol\\ l", "6:smol\\ lm, common smol\\ lm"},
        {"/unload q", "8:qwen, common qwen"},
        {"/save n", "6:notes.md, common notes.md"},
        {"/read my\\ f", "6:my\\ file.txt, common my\\ file.txt"},
        {"/kill 1", "6:, common "},
        {"/clear x", "7:, common "},
    };
    for (const auto& r : table) {
      CAPTURE(r.before);
      CHECK(render(complete(r.before, sources())) == r.want);
    }
  }

  TEST_CASE("files of a folder are found, hidden ones only when they are meant") {
    const test::temp_dir folder;
    folder.write("abc.txt", "");
    folder.write(".hidden", "");
    std::filesystem::create_directory(folder.file("abd"));
    const auto found = [&](const std::string& start) {
      auto out = complete_path(folder.file(start));
      for (auto& x : out) x = x.substr(folder.file("").size());
      std::sort(out.begin(), out.end());
      return out;
    };
    CHECK(found("ab") == std::vector<std::string>{"abc.txt", "abd/"});
    CHECK(found("") == std::vector<std::string>{"abc.txt", "abd/"});
    CHECK(found(".") == std::vector<std::string>{".hidden"});
    CHECK(complete_path("/no/such/folder/x").empty());
  }
}
