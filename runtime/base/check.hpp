#pragma once

namespace llmos {

/// Prints the broken condition with its place and aborts: a bug, never an error of the world.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace llmos

/// Always on. For conditions that only a bug in llmos can break.
#define LLMOS_CHECK(cond) \
  ((cond) ? static_cast<void>(0) : ::llmos::check_failed(#cond, __FILE__, __LINE__))

/// For hot loops: compiled out when NDEBUG is set.
#ifdef NDEBUG
#define LLMOS_DCHECK(cond) static_cast<void>(0)
#else
#define LLMOS_DCHECK(cond) LLMOS_CHECK(cond)
#endif
