#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/result.hpp"

namespace llmos::cpu {

/// Zeroed, page-aligned memory on huge pages where the system gives them. Pages cost nothing
/// until they are touched, and belong to the NUMA node of the thread that touches them first.
class mapped_memory {
public:
  mapped_memory() = default;
  mapped_memory(mapped_memory&& other) noexcept;
  mapped_memory& operator=(mapped_memory&& other) noexcept;
  ~mapped_memory();

  /// Errors: out_of_memory (names `what` and the bytes).
  static result<mapped_memory> make(uint64_t bytes, std::string_view what);

  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

private:
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

/// "out of memory" for `what` with the bytes asked for.
failure memory_failure(uint64_t bytes, std::string_view what);

}  // namespace llmos::cpu
