#include "tests/support/allocation_meter.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LLMOS_TEST_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LLMOS_TEST_ASAN 1
#endif

namespace {

std::atomic<size_t> calls{0};
// Signed: the sanitizer's hooks see memory freed that was taken before they were there.
std::atomic<int64_t> bytes_in_use{0};
std::atomic<int64_t> bytes_peak{0};

void count_taken(size_t size) {
  const auto n = static_cast<int64_t>(size);
  const int64_t now = bytes_in_use.fetch_add(n) + n;
  int64_t peak = bytes_peak.load();
  while (now > peak && !bytes_peak.compare_exchange_weak(peak, now)) {
  }
  calls.fetch_add(1);
}

void count_freed(size_t size) {
  bytes_in_use.fetch_sub(static_cast<int64_t>(size));
}

}  // namespace

#ifdef LLMOS_TEST_ASAN

// As in <sanitizer/allocator_interface.h>, which clang brings and GCC does not.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*,
                                                                           size_t),
                                                         void (*on_free)(const volatile void*));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* memory);

namespace {

void on_malloc(const volatile void*, size_t size) {
  count_taken(size);
}

void on_free(const volatile void* memory) {
  if (memory == nullptr) return;
  count_freed(__sanitizer_get_allocated_size(memory));
}

const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);

}  // namespace

#else

namespace {

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc{};
  count_taken(malloc_usable_size(memory));
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) count_freed(malloc_usable_size(memory));
  std::free(memory);
}

size_t rounded_up(size_t size, size_t step) {
  return (size + step - 1) / step * step;
}

}  // namespace

// The standard library's array and nothrow forms call these.
void* operator new(size_t size) {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(size_t size, std::align_val_t alignment) {
  const auto step = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(step, rounded_up(size == 0 ? 1 : size, step)));
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

#endif

namespace llmos::test {

allocation_meter::allocation_meter()
    : count_at_start_{calls.load()}, bytes_at_start_{bytes_in_use.load()} {
  bytes_peak.store(bytes_at_start_);
}

size_t allocation_meter::count() const {
  return calls.load() - count_at_start_;
}

size_t allocation_meter::peak_bytes() const {
  return static_cast<size_t>(bytes_peak.load() - bytes_at_start_);
}

}  // namespace llmos::test
