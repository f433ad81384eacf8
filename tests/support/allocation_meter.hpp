#pragma once

#include <cstddef>

namespace llmos::test {

/// Counts what the whole program takes from `operator new` while it lives. One at a time.
class allocation_meter {
public:
  allocation_meter();

  /// Calls of operator new since construction.
  size_t count() const;
  /// The most bytes above those at construction that were in use at once.
  size_t peak_bytes() const;

private:
  size_t count_at_start_;
  size_t bytes_at_start_;
};

}  // namespace llmos::test
