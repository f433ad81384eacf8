#pragma once

#include <cstdlib>

namespace llmos::test {

/// Counts of a thousand and more run to a tenth in the ordinary test run and in full with
/// LLMOS_TEST_FULL=1 (`tools/test --full`).
inline int scaled(int n) {
  const char* full = std::getenv("LLMOS_TEST_FULL");
  const bool is_full = full != nullptr && *full == '1';
  return is_full || n < 1000 ? n : n / 10;
}

}  // namespace llmos::test
