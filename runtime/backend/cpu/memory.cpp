#include "runtime/backend/cpu/memory.hpp"

#include <sys/mman.h>

#include <string>
#include <utility>

namespace llmos::cpu {

namespace {
constexpr uint64_t huge_page_bytes = 2u << 20;
}

mapped_memory::mapped_memory(mapped_memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

mapped_memory& mapped_memory::operator=(mapped_memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

mapped_memory::~mapped_memory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

result<mapped_memory> mapped_memory::make(uint64_t bytes, std::string_view what) {
  mapped_memory out;
  if (bytes == 0) return out;
  void* p = bytes > SIZE_MAX / 2 ? MAP_FAILED
                                 : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return memory_failure(bytes, what);
  // Only advice: without huge pages everything works, at a higher TLB cost.
  if (bytes >= huge_page_bytes) static_cast<void>(::madvise(p, bytes, MADV_HUGEPAGE));
  out.data_ = static_cast<std::byte*>(p);
  out.size_ = bytes;
  return out;
}

failure memory_failure(uint64_t bytes, std::string_view what) {
  return failure{ec::out_of_memory,
                 "cannot reserve " + std::to_string(bytes) + " bytes for " + std::string(what),
                 "use a smaller model, fewer KV blocks or a smaller context"};
}

}  // namespace llmos::cpu
