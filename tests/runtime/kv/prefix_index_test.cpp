#include "runtime/kv/prefix_index.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace llmos;
using tokens = std::vector<token_id>;

namespace {

/// Puts one block of two tokens there and says whether it is found again.
bool add(prefix_index& index, const prefix_index::place& at, const tokens& t, block_id b) {
  index.insert(at, t, b);
  index.check_invariants();
  return index.find(at, t) == b;
}

}  // namespace

TEST_SUITE("runtime.kv.prefix_index") {
  TEST_CASE("equal tokens are told apart by parent and tenant, with any number of hash bits") {
    for (uint32_t hash_bits : {64u, 4u, 0u}) {
      CAPTURE(hash_bits);
      prefix_index index{8, 2, "model", hash_bits};
      CHECK(add(index, index.root("ann"), {1, 2}, 0));
      CHECK(index.find(index.root("bob"), tokens{1, 2}) == std::nullopt);
      CHECK(add(index, index.root("bob"), {1, 2}, 1));
      CHECK(add(index, index.root("ann"), {3, 4}, 2));
      CHECK(add(index, index.below(0), {1, 2}, 3));
      CHECK(add(index, index.below(2), {1, 2}, 4));
      CHECK(add(index, index.below(1), {1, 2}, 5));
      CHECK(index.find(index.below(3), tokens{1, 2}) == std::nullopt);
      CHECK(index.find(index.root("ann"), tokens{2, 1}) == std::nullopt);
      CHECK(index.size() == 6);
    }
  }

  TEST_CASE("erasing a block removes what is below it, children first, and nothing else") {
    prefix_index index{8, 2, "model"};
    add(index, index.root(""), {0, 0}, 0);
    add(index, index.below(0), {1, 1}, 1);
    add(index, index.below(0), {2, 2}, 2);
    add(index, index.below(0), {3, 3}, 3);
    add(index, index.below(2), {4, 4}, 4);
    CHECK(index.erase(2) == std::vector<block_id>{4, 2});
    index.check_invariants();
    CHECK(index.find(index.below(0), tokens{2, 2}) == std::nullopt);
    CHECK(index.find(index.below(0), tokens{1, 1}) == 1);
    CHECK(index.find(index.below(0), tokens{3, 3}) == 3);
    CHECK(index.erase(0).size() == 3);
    CHECK(index.size() == 0);
    index.check_invariants();
    CHECK(add(index, index.root(""), {9, 9}, 4));
  }
}
