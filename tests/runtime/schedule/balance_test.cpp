#include "runtime/schedule/balance.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace llmos;

namespace {

/// How `n` requests that all stay are spread.
std::vector<size_t> spread(std::vector<engine_load> engines, int n) {
  for (; n > 0; --n) ++engines[least_loaded(engines)].num_users;
  std::vector<size_t> out;
  for (const auto& e : engines) out.push_back(e.num_users);
  return out;
}

using counts = std::vector<size_t>;

}  // namespace

TEST_SUITE("runtime.schedule.balance") {
  TEST_CASE("requests are spread by how fast engines are") {
    CHECK(spread({{}}, 3) == counts{3});
    CHECK(spread({{}, {}, {}}, 7) == counts{3, 2, 2});
    CHECK(spread({{0, 1.0}, {0, 3.0}}, 8) == counts{6, 2});
    CHECK(spread({{0, 1.0}, {0, 100.0}}, 50) == counts{50, 0});
    CHECK(spread({{0, 1.0}, {0, 0}}, 8) == counts{4, 4});  // one is not measured
  }

  TEST_CASE("an engine that has more to do gets fewer") {
    CHECK(spread({{5, 0}, {2, 0}}, 5) == counts{6, 6});
    CHECK(least_loaded(std::vector<engine_load>{{1, 2.0}, {4, 0.5}}) == 1);
  }
}
