#include "runtime/backend/placement.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tests/support/random_model.hpp"

using namespace llmos;

namespace {

struct pretended_device {
  uint64_t weight_bytes = 0;  ///< 0: it cannot say.
  double read_speed = 0;      ///< 0: it cannot be measured.
};

/// A kind with these devices; counts how often it is measured.
backend_kind pretended(const std::string& name, const std::vector<pretended_device>& devices,
                       int& measured) {
  backend_kind kind;
  kind.name = name;
  kind.memory = [devices](uint32_t i, const model&, const backend_limits&) {
    const auto bytes = devices.at(i).weight_bytes;
    return bytes != 0 ? result<backend_memory>(backend_memory{.weight_bytes = bytes})
                      : failure{ec::unsupported, "no such weights", ""};
  };
  kind.read_speed = [devices, &measured](uint32_t i) {
    ++measured;
    const double speed = devices.at(i).read_speed;
    return speed != 0 ? result<double>(speed) : failure{ec::engine_failed, "it hangs", ""};
  };
  if (devices.size() != 1) {
    kind.num_devices = [n = devices.size()] { return static_cast<uint32_t>(n); };
  }
  return kind;
}

using names = std::vector<std::string>;

}  // namespace

TEST_SUITE("runtime.backend.placement") {
  TEST_CASE("auto goes by how long the weights take as a device keeps them") {
    const auto m = test::make_random_model({});
    const auto meant = [&](const std::map<std::string, std::vector<pretended_device>>& kinds,
                           int& measured) {
      backend_registry r({});
      for (const auto& [name, devices] : kinds) r.add(pretended(name, devices, measured));
      return devices_meant("auto", *m, {}, r);
    };
    int measured = 0;
    CHECK(meant({{"cpu", {{100, 50}}}}, measured) == names{"cpu"});
    CHECK(meant({{"cpu", {{100, 50}}}, {"gpu", {}}}, measured) == names{"cpu"});
    CHECK(measured == 0);
    CHECK(meant({{"cpu", {{100, 50}}}, {"gpu", {{400, 300}, {400, 150}}}}, measured) ==
          names{"gpu:0", "cpu", "gpu:1"});  // 1.3, 2 and 2.7 s
    CHECK(measured == 3);
    CHECK(meant({{"cpu", {{100, 50}}}, {"gpu", {{400, 900}, {0, 1}, {400, 0}}}}, measured) ==
          names{"gpu:1", "gpu:2", "gpu:0", "cpu"});
  }

  TEST_CASE("a device has one name") {
    int measured = 0;
    backend_registry r({});
    r.add(pretended("cpu", {{100, 50}}, measured));
    r.add(pretended("gpu", {{1, 1}, {1, 1}}, measured));
    for (const auto& [name, want] : std::map<std::string, std::string>{{"cpu", "cpu"},
                                                                       {"cpu:0", "cpu"},
                                                                       {"gpu", "gpu:0"},
                                                                       {"gpu:0", "gpu:0"},
                                                                       {"gpu:1", "gpu:1"}}) {
      CHECK(canonical_backend(name, r).value() == want);
    }
    CHECK_FALSE(canonical_backend("abacus", r).ok());
    CHECK(backends_listed("a, b:1 ,c") == names{"a", "b:1", "c"});
    CHECK(backends_listed("") == names{""});
    CHECK(pass_seconds("gpu:1", *test::make_random_model({}), {}, r).value() == 1);
  }

  TEST_CASE("any other name means itself, unasked") {
    const auto m = test::make_random_model({});
    backend_registry none({});
    CHECK(devices_meant("gpu:3", *m, {}, none) == names{"gpu:3"});
    CHECK(devices_meant("", *m, {}, none) == names{""});
  }

  TEST_CASE("the first device that succeeds is taken, the last one's failure told") {
    const auto even = [](const std::string& x) {
      return x.size() % 2 == 0 ? result<size_t>(x.size())
                               : failure{ec::not_found, x + " is odd", ""};
    };
    std::string note;
    CHECK(with_first_of({"ab", "c"}, note, even).value() == 2);
    CHECK(note.empty());
    CHECK(with_first_of({"a", "bcd", "ef", "g"}, note, even).value() == 2);
    CHECK(note == "a was passed over: a is odd; bcd was passed over: bcd is odd");
    note.clear();
    CHECK(with_first_of({"a", "bcd"}, note, even).error().text == "bcd is odd");
    CHECK(note == "a was passed over: a is odd");
  }
}
