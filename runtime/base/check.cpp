#include "runtime/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace llmos {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "llmos: bug: check failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace llmos
