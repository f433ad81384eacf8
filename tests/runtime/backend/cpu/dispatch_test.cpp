#include "runtime/backend/cpu/dispatch.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/runtime/backend/cpu/scoped_cpu.hpp"

using namespace llmos;

TEST_SUITE("runtime.backend.cpu.dispatch") {
  TEST_CASE("portable kernels are always there, and the last table is the choice") {
    const auto tables = cpu::available_kernels();
    REQUIRE(!tables.empty());
    CHECK(std::string(tables.front()->name) == "portable");
    const test::scoped_cpu unset("");
    const auto chosen = cpu::choose_kernels();
    REQUIRE(chosen.ok());
    CHECK(*chosen == tables.back());
  }

  TEST_CASE("LLMOS_CPU picks a table by the first word of its name") {
    for (const cpu::kernel_table* table : cpu::available_kernels()) {
      const std::string name = table->name;
      const test::scoped_cpu set(name.substr(0, name.find('-')));
      const auto chosen = cpu::choose_kernels();
      REQUIRE(chosen.ok());
      CHECK(*chosen == table);
    }
  }

  TEST_CASE("an unknown LLMOS_CPU is refused and the allowed names are told") {
    const test::scoped_cpu set("sse9");
    const auto chosen = cpu::choose_kernels();
    REQUIRE(!chosen.ok());
    CHECK(chosen.error().code == ec::invalid_argument);
    CHECK(chosen.error().text.find("sse9") != std::string::npos);
    CHECK(chosen.error().hint.find("portable") != std::string::npos);
  }
}
