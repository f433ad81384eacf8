#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <string_view>

namespace llmos::test {

/// Says that the running test case cannot run here (no device, no model); the case then returns.
/// `tools/test` counts the line `[skipped] case: reason` as one skipped case instead of a passed
/// one, so a case says it once, however often its body is entered.
inline void skip(std::string_view reason) {
  static const void* last = nullptr;
  const auto* running = doctest::getContextOptions()->currentTest;
  if (running == last) return;
  last = running;
  std::printf("[skipped] %s: %.*s\n", running->m_name, static_cast<int>(reason.size()),
              reason.data());
  std::fflush(stdout);
}

}  // namespace llmos::test
