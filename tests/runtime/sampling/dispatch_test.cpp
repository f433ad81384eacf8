#include "runtime/sampling/dispatch.hpp"

#include <doctest/doctest.h>

#include "tests/runtime/backend/cpu/scoped_cpu.hpp"

using namespace llmos;

TEST_SUITE("runtime.sampling.dispatch") {
  TEST_CASE("portable passes are always there, and the last table is the choice") {
    const auto tables = available_passes();
    CHECK(tables.front() == &passes_portable);
    const test::scoped_cpu unset("");
    CHECK(&choose_passes() == tables.back());
  }

  TEST_CASE("LLMOS_CPU picks a table by its name; other names are for others") {
    for (const pass_table* table : available_passes()) {
      const test::scoped_cpu set(table->name);
      CHECK(&choose_passes() == table);
    }
    const test::scoped_cpu other("amx");
    CHECK(&choose_passes() == available_passes().back());
  }
}
