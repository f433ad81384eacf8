#pragma once

#include <cstdint>

namespace llmos::test {

/// The splitmix64 generator (Steele, Lea, Flood 2014): the same numbers everywhere, easy to repeat
/// in another language. State += 0x9e3779b97f4a7c15, then two xor-shift-multiply rounds.
class splitmix64 {
public:
  explicit splitmix64(uint64_t seed) : state_{seed} {}

  uint64_t next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  /// An integer in [0, n). REQUIRES: n > 0. (Its bias of n / 2^64 does not matter to tests.)
  uint64_t below(uint64_t n) { return next() % n; }

  /// A multiple of 2^-24 in [0, 1).
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }

private:
  uint64_t state_;
};

}  // namespace llmos::test
