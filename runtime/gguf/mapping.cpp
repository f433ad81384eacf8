#include "runtime/gguf/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>
#include <utility>

static_assert(sizeof(size_t) == 8, "a file of any size fits the address space");

namespace llmos {

namespace {

/// Closes a descriptor at the end of a scope.
struct descriptor {
  int fd;
  explicit descriptor(int x) : fd{x} {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

failure system_failure(const std::string& path, const char* action, int error) {
  const auto text = path + ": cannot " + action + ": " + std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR) return {ec::not_found, text, "check the path"};
  return {ec::io_error, text, "check the path and its permissions"};
}

}  // namespace

result<mapping> mapping::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return system_failure(path, "open", errno);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) return system_failure(path, "examine", errno);
  if (!S_ISREG(status.st_mode)) {
    return failure{ec::io_error, path + ": is not a regular file", "give the path of a GGUF file"};
  }
  if (status.st_size <= 0) {
    return failure{ec::bad_file, path + ": the file is empty", "get another copy of the file"};
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (start == MAP_FAILED) return system_failure(path, "map", errno);
  return mapping{{static_cast<const std::byte*>(start), size}};
}

mapping::mapping(mapping&& other) noexcept : bytes_{std::exchange(other.bytes_, {})} {}

mapping& mapping::operator=(mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

void mapping::forget(std::span<const std::byte> part) const {
  const std::less<const std::byte*> before;
  if (part.empty() || before(part.data(), bytes_.data()) ||
      before(bytes_.data() + bytes_.size(), part.data() + part.size())) {
    return;
  }
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = static_cast<size_t>(part.data() - bytes_.data());
  const size_t first = (begin + page - 1) / page * page, end = (begin + part.size()) / page * page;
  if (first >= end) return;
  // Only advice: where it fails the pages stay, as they would have without it.
  static_cast<void>(
      ::madvise(const_cast<std::byte*>(bytes_.data()) + first, end - first, MADV_DONTNEED));
}

mapping::~mapping() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace llmos
