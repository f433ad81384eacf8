#include "runtime/backend/cpu/dispatch.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/runtime/backend/cpu/scoped_cpu.hpp"
#include "tests/support/skip.hpp"

using namespace llmos;

namespace {

/// Cases that loop over the available kernels say nothing of those that this machine lacks.
void check_set(const char* set_name) {
  const test::scoped_cpu set(set_name);
  const auto chosen = cpu::choose_kernels();
  if (!chosen.ok()) {
    return test::skip("this machine cannot run them: no case tests the " + std::string(set_name) +
                      " kernels");
  }
  CHECK(std::string((*chosen)->name).starts_with(set_name));
}

}  // namespace

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

  TEST_CASE("AVX2 kernels are tested here") {
    check_set("avx2");
  }
  TEST_CASE("AVX-VNNI kernels are tested here") {
    check_set("avxvnni");
  }
  TEST_CASE("AVX-512 kernels are tested here") {
    check_set("avx512");
  }
  TEST_CASE("AMX kernels are tested here") {
    check_set("amx");
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
