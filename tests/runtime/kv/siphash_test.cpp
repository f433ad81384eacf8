#include "runtime/kv/siphash.hpp"

#include <doctest/doctest.h>

#include <array>
#include <numeric>

using namespace llmos;

TEST_SUITE("runtime.kv.siphash") {
  TEST_CASE("the published vectors come out") {
    const siphash_key key{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    std::array<uint8_t, 64> text{};
    std::iota(text.begin(), text.end(), uint8_t{0});
    const auto hash = [&](size_t n) {
      return siphash_2_4(key, std::as_bytes(std::span(text).first(n)));
    };
    CHECK(hash(0) == 0x726fdb47dd0e0e31u);
    CHECK(hash(1) == 0x74f839c593dc67fdu);
    CHECK(hash(7) == 0xab0200f58b01d137u);
    CHECK(hash(8) == 0x93f5f5799a932462u);
    CHECK(hash(15) == 0xa129ca6149be45e5u);
    CHECK(hash(63) == 0x958a324ceb064572u);
  }
}
