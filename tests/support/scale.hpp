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

/// Cases that take seconds take minutes under sanitizers: there only a part of them runs.
constexpr bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer);
#else
  return false;
#endif
}

}  // namespace llmos::test
