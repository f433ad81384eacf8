#pragma once

#include <cstddef>
#include <cstdint>

namespace llmos::test {

/// Counts what the whole program takes from `operator new` while it lives. One at a time.
/// Under AddressSanitizer, whose own operators find mismatches, it counts malloc as well.
class allocation_meter {
public:
  allocation_meter();

  /// Allocations since construction.
  size_t count() const;
  /// The most bytes above those at construction that were in use at once.
  size_t peak_bytes() const;

private:
  size_t count_at_start_;
  int64_t bytes_at_start_;
};

}  // namespace llmos::test
