#include "runtime/backend/registry.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "runtime/backend/cpu/read_speed.hpp"
#include "tests/support/environment_guard.hpp"
#include "tests/support/random_model.hpp"

using namespace llmos;

namespace {

namespace fs = std::filesystem;

/// An empty folder, gone at the end.
class scratch_folder {
public:
  scratch_folder() {
    std::string path = (fs::temp_directory_path() / "llmos-modules-XXXXXX").string();
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~scratch_folder() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }

private:
  fs::path path_;
};

backend_kind pretended(const std::string& name, uint32_t& asked) {
  return {name,
          [&asked](uint32_t device, std::shared_ptr<const model>,
                   const backend_limits&) -> result<std::unique_ptr<backend>> {
            asked = device;
            return failure{ec::unsupported, "pretended", ""};
          },
          [](uint32_t, const model&, const backend_limits&) -> result<backend_memory> {
            return backend_memory{};
          }};
}

std::string folder_of_this_program() {
  return fs::read_symlink("/proc/self/exe").parent_path().string();
}

}  // namespace

TEST_SUITE("runtime.backend.registry") {
  TEST_CASE("a name means a kind and a device") {
    backend_registry r({});
    uint32_t asked = 99;
    r.add(pretended("abacus", asked));
    const struct {
      const char* name;
      uint32_t device;
    } table[] = {{"abacus", 0}, {"abacus:0", 0}, {"abacus:7", 7}};
    for (const auto& row : table) {
      CAPTURE(row.name);
      const auto found = r.find(row.name).value();
      CHECK(found.kind->name == "abacus");
      CHECK_FALSE(found.kind->make(found.device, nullptr, {}).ok());
      CHECK(asked == row.device);
    }
    for (const char* name :
         {"abacus:", "abacus:x", "abacus:1x", "abacus:-1", "abacus:99999999999"}) {
      CAPTURE(name);
      const auto found = r.find(name);
      REQUIRE_FALSE(found.ok());
      CHECK(found.error().code == ec::invalid_argument);
      CHECK(found.error().hint.find("abacus:0") != std::string::npos);
    }
  }

  TEST_CASE("an unknown name lists the known ones and looks at no other file") {
    const scratch_folder folder;
    folder.write("llmos-.so", "");
    folder.write("llmos-x.txt", "");
    folder.write("secret.so", "");
    backend_registry r({folder.path(), "/nowhere"});
    add_built_in(r);
    CHECK(r.names() == std::vector<std::string>{"cpu", "reference"});
    for (const char* name : {"abacus", "", "../secret", "cpu/../x", "CPU", ":0"}) {
      CAPTURE(name);
      const auto found = r.find(name);
      REQUIRE_FALSE(found.ok());
      CHECK(found.error().code == ec::invalid_argument);
      CHECK(found.error().hint.find("auto, cpu, reference") != std::string::npos);
    }
    CHECK(r.find("cuda").error().hint.find("CUDA toolkit") != std::string::npos);
  }

  TEST_CASE("a module that is none is an error that names the file") {
    const scratch_folder folder;
    folder.write("llmos-broken.so", "not a library");
    backend_registry r({folder.path()});
    CHECK(r.names() == std::vector<std::string>{"broken"});
    const auto found = r.find("broken");
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().code == ec::bad_file);
    CHECK(found.error().text.find("llmos-broken.so") != std::string::npos);
  }

  TEST_CASE("a module is loaded when its name is first used") {
    backend_registry r({folder_of_this_program()});
    const auto names = r.names();
    REQUIRE(std::find(names.begin(), names.end(), "example") != names.end());
    const auto found = r.find("example:2").value();
    CHECK(r.find("example").value().kind == found.kind);
    CHECK(found.kind->free_bytes(0).value() == uint64_t{1} << 20);
    const auto m = test::make_random_model({});
    const auto none = found.kind->make(found.device, m, backend_limits{});
    REQUIRE_FALSE(none.ok());
    CHECK(none.error().code == ec::not_found);
    CHECK(device_room_of_backend("example").value() == uint64_t{1} << 20);
    CHECK_FALSE(device_room_of_backend("cpu").value().has_value());
  }

  TEST_CASE("auto loads a module where a file shows that its device is there") {
    const scratch_folder folder;
    fs::create_symlink(folder_of_this_program() + "/llmos-example.so",
                       folder.path() + "/llmos-example.so");
    const test::environment_guard devices("LLMOS_EXAMPLE_DEVICES", "2");
    const auto names_of_auto = [&] {
      backend_registry r({folder.path()});
      add_built_in(r);
      std::vector<std::string> out;
      for (const auto& d : r.automatic())
        out.push_back(d.kind->name + ":" + std::to_string(d.device));
      return out;
    };
    CHECK(names_of_auto() == std::vector<std::string>{"cpu:0"});
    folder.write("llmos-example.devices", "/nowhere\n\n");
    CHECK(names_of_auto() == std::vector<std::string>{"cpu:0"});
    folder.write("llmos-example.devices", "/nowhere\n/dev/null\n");
    CHECK(names_of_auto() == std::vector<std::string>{"cpu:0", "example:0", "example:1"});
    folder.write("llmos-broken.so", "not a library");
    folder.write("llmos-broken.devices", "/dev/null\n");
    folder.write("llmos-example.old.so", "");  // names that nobody can say
    folder.write("llmos-Foo.so", "");
    CHECK(names_of_auto() == std::vector<std::string>{"cpu:0", "example:0", "example:1"});
  }

  TEST_CASE("the speed of a device is measured once") {
    backend_registry r({});
    uint32_t asked = 0;
    int times = 0;
    auto kind = pretended("abacus", asked);
    kind.read_speed = [&](uint32_t device) -> result<double> {
      if (++times == 1) return failure{ec::engine_failed, "not yet", ""};
      return 100.0 + device;
    };
    r.add(kind);
    const auto first = r.find("abacus").value(), second = r.find("abacus:1").value();
    CHECK_FALSE(r.read_speed(first).ok());
    CHECK(r.read_speed(first).value() == 100);
    CHECK(r.read_speed(second).value() == 101);
    CHECK(r.read_speed(first).value() == 100);
    CHECK(times == 3);
    CHECK(cpu::read_speed(2) > 1e8);  // any machine's memory
  }
}
