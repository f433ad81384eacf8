#include "runtime/base/system_memory.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/cgroup.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

using files = std::map<std::string, std::string>;

/// A folder that stands in for the root of a machine.
struct fake_root : test::temp_dir {
  explicit fake_root(const files& all) {
    for (const auto& [path, text] : all) {
      std::filesystem::create_directories(std::filesystem::path{file(path)}.parent_path());
      write(path, text);
    }
  }
  std::string path() const { return file("."); }
};

const std::string meminfo = "MemTotal:       9000 kB\nMemAvailable:   1000 kB\n";

}  // namespace

TEST_SUITE("runtime.base.system_memory") {
  TEST_CASE("free memory is the least that the machine and any control group leave") {
    struct row {
      const char* name;
      files tree;
      uint64_t want;
    };
    const std::string v2 = "sys/fs/cgroup", v1 = "sys/fs/cgroup/memory";
    const row table[] = {
        {"no groups", {{"proc/meminfo", meminfo}}, 1000 << 10},
        {"a container's own group is the root",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "0::/\n"},
          {v2 + "/memory.max", "9000\n"},
          {v2 + "/memory.current", "2000\n"}},
         7000},
        {"no limit",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "0::/\n"},
          {v2 + "/memory.max", "max\n"},
          {v2 + "/memory.current", "2000\n"}},
         1000 << 10},
        {"pages of files can be dropped",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "0::/\n"},
          {v2 + "/memory.max", "9000\n"},
          {v2 + "/memory.current", "2000\n"},
          {v2 + "/memory.stat", "anon 500\ninactive_file 1000\nactive_file 300\nshmem 9\n"}},
         8300},
        {"an ancestor's limit binds",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "0::/a/b\n"},
          {v2 + "/a/b/memory.max", "9000\n"},
          {v2 + "/a/b/memory.current", "10\n"},
          {v2 + "/a/memory.max", "5000\n"},
          {v2 + "/a/memory.current", "4000\n"}},
         1000},
        {"a group over its limit leaves nothing",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "0::/\n"},
          {v2 + "/memory.max", "9000\n"},
          {v2 + "/memory.current", "9001\n"}},
         0},
        {"version 1, seen from inside a container",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "7:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n"},
          {v1 + "/memory.limit_in_bytes", "9000\n"},
          {v1 + "/memory.usage_in_bytes", "6000\n"},
          {v1 + "/memory.stat", "inactive_file 1\ntotal_inactive_file 2000\n"}},
         5000},
        {"version 1 without a limit",
         {{"proc/meminfo", meminfo},
          {"proc/self/cgroup", "4:memory:/\n"},
          {v1 + "/memory.limit_in_bytes", "9223372036854771712\n"},
          {v1 + "/memory.usage_in_bytes", "6000\n"}},
         1000 << 10},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      const fake_root root{r.tree};
      CHECK(free_memory_bytes(root.path()) == r.want);
    }
  }

  TEST_CASE("groups are those of the controller, from the innermost to the root") {
    const fake_root root{{{"proc/self/cgroup", "7:cpu,memory:/x\n0::/a/b\n"}}};
    const auto top = root.path() + "/sys/fs/cgroup";
    CHECK(cgroup_folders("", root.path()) == std::vector{top + "/a/b", top + "/a", top});
    CHECK(cgroup_folders("memory", root.path()) == std::vector{top + "/memory/x", top + "/memory"});
    CHECK(cgroup_folders("pids", root.path()) == std::vector{top + "/pids"});
  }

  TEST_CASE("resident memory grows by what is touched") {
    constexpr size_t size = 32u << 20;
    const uint64_t before = resident_bytes();
    const std::vector<std::byte> touched(size, std::byte{1});
    const uint64_t after = resident_bytes();
    CHECK(touched.back() == std::byte{1});
    CHECK(before > 0);
    CHECK(after >= before + size / 2);  // the allocator may reuse what it held
  }
}
