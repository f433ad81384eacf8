// What crosses a process stays as it was written: a published type never changes.
#include "actors/wire.hpp"

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/scoped_execution_unit.hpp>
#include <fstream>
#include <sstream>

#include "actors/gateway/remote/port.hpp"
#include "tests/support/deterministic_system.hpp"

using namespace llmos;

namespace {

const std::string folder = "tests/golden/wire/";

std::string to_hex(const std::vector<char>& bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::vector<char> from_hex(const std::string& text) {
  std::vector<char> out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}

struct fixture : test::deterministic_system {
  template <class T>
  std::string written(T x) {
    std::vector<char> bytes;
    caf::scoped_execution_unit ctx{&sys};
    caf::binary_serializer sink{&ctx, bytes};
    REQUIRE_FALSE(sink(x));
    return to_hex(bytes);
  }

  /// As it was written when it was published, and read from that.
  template <class T>
  void check(const std::string& name, const T& x) {
    CAPTURE(name);
    std::ifstream file(folder + name + ".hex");
    std::string golden;
    file >> golden;
    CHECK(written(x) == golden);
    const auto bytes = from_hex(golden);
    caf::scoped_execution_unit ctx{&sys};
    caf::binary_deserializer source{&ctx, bytes};
    T read;
    REQUIRE_FALSE(source(read));
    CHECK(written(read) == golden);
    // Cut short anywhere it is refused, and nothing more happens.
    for (size_t n = 0; n < bytes.size(); ++n) {
      caf::binary_deserializer cut{&ctx, bytes.data(), n};
      T other;
      CHECK(cut(other));
    }
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.remote.wire");

TEST_CASE_FIXTURE(fixture, "every type is written as it was when it was published") {
  check("hello", wire::hello{1, 2, "test 1.0", {"a", "bc"}});
  check("welcome", wire::welcome{1, 2, "llmos 0.1.0", "ann", {"x"}, 262144, 60000});
  check("request", wire::request{"t1",
                                 7,
                                 "m",
                                 "prompt",
                                 "[]",
                                 "[{}]",
                                 {{"temperature", "0.5"}, {"seed", "3"}},
                                 -5,
                                 1000,
                                 2000});
  check("accepted", wire::accepted{"t1", true});
  check("chunk", wire::chunk{"t1", 3, "text", {{5, -0.25f, {{6, -1.5f}, {7, -2.0f}}}, {8, 0, {}}}});
  check("done", wire::done{"t1", 4, "stop", true, "END", "m", 99, 10, 4, 6, 1234, 56789});
  check("failed", wire::failed{"t1", 5, "over_context", "too long", "shorten it"});
  check("ack", wire::ack{"t1", 300});
  check("cancel", wire::cancel{"t1"});
  check("model_name", wire::model_name{"m"});
  check("models", wire::models{{{"m", "loaded", "a llama", 98362432, true}, {}}});
  check("processes", wire::processes{{{4, "ann", "m", "running", 10, 6, 1500}}});
  check("query", wire::query{});
  check("text", wire::text{"some text"});
  check("text_of", wire::text_of{"m", "prompt", ""});
  check("tokens_of", wire::tokens_of{"m", {1, -2, 300000}});
  check("tokens", wire::tokens{{1, 2, 3}, 8192});
  check("kill", wire::kill{0x10000000001});
  check("status", wire::status{"ready", 86400000, 3, 512, 1, 2, 10, 4096});
  check(
      "metrics",
      wire::metrics{
          {0.5, 600},
          {{"llmos_steps_total", "Steps.", "counter", {{{{"model", "m"}}, 7, 0, 0, 0, {}}}},
           {"llmos_request_seconds", "All.", "histogram", {{{}, 0, 1.5, 0.25, 1.25, {2, 0, 0}}}}}});
  check("watch", wire::watch{0x123456789abcdef, 9, 20000});
  check("events",
        wire::events{
            0x123456789abcdef, 11, 2, {{10, 1764500000123, "engine_started", "m", "on cpu"}, {}}});
}

TEST_CASE_FIXTURE(fixture, "lists that no client sends are seen before they are read") {
  const auto fits = [this](const char* type, auto x) {
    const auto bytes = from_hex(written(atom::submit_v) + written(x));
    return has_short_lists(std::string("@<>+@atom+llmos::wire::") + type,
                           wire_reader(std::as_bytes(std::span(bytes))));
  };
  for (const size_t n : {0, 256, 257, 1000}) {
    CAPTURE(n);
    wire::hello greeting{1, 0, "some program", {}};
    greeting.features.resize(n);
    CHECK(fits("hello", greeting) == (n <= 256));
    wire::request request{"ticket", 9, "a model", "a prompt", "[]", "[{}]", {}, 0, 1000, 2000};
    request.sampling.resize(n);
    CHECK(fits("request", request) == (n <= 256));
    CHECK(fits("tokens_of", wire::tokens_of{"m", std::vector<int32_t>(n)}));
  }
  for (const char* type : {"hello", "request"}) {
    CHECK_FALSE(has_short_lists(std::string("@<>+@atom+llmos::wire::") + type, wire_reader({})));
  }
}

TEST_SUITE_END();
