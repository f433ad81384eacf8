#include "tests/support/allocation_meter.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> calls{0};
std::atomic<size_t> bytes_in_use{0};
std::atomic<size_t> bytes_peak{0};

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc{};
  const size_t n = malloc_usable_size(memory);
  const size_t now = bytes_in_use.fetch_add(n) + n;
  size_t peak = bytes_peak.load();
  while (now > peak && !bytes_peak.compare_exchange_weak(peak, now)) {
  }
  calls.fetch_add(1);
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) bytes_in_use.fetch_sub(malloc_usable_size(memory));
  std::free(memory);
}

size_t rounded_up(size_t size, std::align_val_t alignment) {
  const auto step = static_cast<size_t>(alignment);
  return (size + step - 1) / step * step;
}

}  // namespace

// The library's array and nothrow forms call these.
void* operator new(size_t size) {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(size_t size, std::align_val_t alignment) {
  const auto step = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(step, rounded_up(size == 0 ? 1 : size, alignment)));
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  release(memory);
}

namespace llmos::test {

allocation_meter::allocation_meter()
    : count_at_start_{calls.load()}, bytes_at_start_{bytes_in_use.load()} {
  bytes_peak.store(bytes_at_start_);
}

size_t allocation_meter::count() const {
  return calls.load() - count_at_start_;
}

size_t allocation_meter::peak_bytes() const {
  return bytes_peak.load() - bytes_at_start_;
}

}  // namespace llmos::test
