#include "runtime/base/write_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace llmos {

namespace {

failure cannot_write(const std::string& path, int error) {
  return {ec::io_error, "cannot write " + path + ": " + std::generic_category().message(error),
          "check the folder, its permissions and the space on its disk"};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

result<void> write_file(const std::string& path, std::string_view bytes) {
  std::string draft = path + ".XXXXXX";
  const int fd = ::mkstemp(draft.data());
  if (fd < 0) return cannot_write(path, errno);
  bool fine = write_all(fd, bytes) && ::fsync(fd) == 0;
  int error = errno;
  fine = ::close(fd) == 0 && fine;
  if (fine && std::rename(draft.c_str(), path.c_str()) == 0) return {};
  if (fine) error = errno;
  ::unlink(draft.c_str());
  return cannot_write(path, error);
}

}  // namespace llmos
