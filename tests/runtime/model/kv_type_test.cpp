#include "runtime/model/kv_type.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.model.kv_type") {
  TEST_CASE("every type is found by its name, and nothing else is") {
    for (const kv_type type : {kv_type::f16, kv_type::q8_0}) {
      CHECK(kv_type_named(name_of(type)).value() == type);
    }
    const auto unknown = kv_type_named("q4_0");
    REQUIRE_FALSE(unknown.ok());
    CHECK(unknown.error().code == ec::invalid_argument);
    CHECK(unknown.error().text.find("'q4_0'") != std::string::npos);
    CHECK(unknown.error().hint.find("q8_0") != std::string::npos);
  }

  TEST_CASE(
      "q8_0 takes a byte for each value and two for each 32, the last of which may be fewer") {
    struct row {
      uint32_t head_dim;
      uint64_t f16, q8_0;
    };
    for (const row& r : {row{64, 128, 68}, row{80, 160, 86}, row{128, 256, 136}, row{8, 16, 10}}) {
      CAPTURE(r.head_dim);
      CHECK(kv_head_bytes(kv_type::f16, r.head_dim) == r.f16);
      CHECK(kv_head_bytes(kv_type::q8_0, r.head_dim) == r.q8_0);
    }
  }
}
