#include "runtime/base/read_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace llmos {

namespace {

constexpr size_t chunk_bytes = 64u << 10;

failure cannot_read(const std::string& name, int error) {
  const auto what = name + ": " + std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR) return {ec::not_found, what, "check the path"};
  return {ec::io_error, "cannot read " + what, "check the path and its permissions"};
}

}  // namespace

result<std::string> read_descriptor(int fd, const std::string& name, uint64_t max_bytes) {
  std::string out;
  for (;;) {
    const size_t used = out.size();
    out.resize(used + chunk_bytes);
    const ssize_t n = ::read(fd, out.data() + used, chunk_bytes);
    if (n < 0 && errno != EINTR) return cannot_read(name, errno);
    out.resize(used + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (out.size() > max_bytes) {
      return failure{ec::bad_file, name + " is larger than " + std::to_string(max_bytes) + " bytes",
                     "check that it is the right file, or split it"};
    }
    if (n == 0) return out;
  }
}

result<std::string> read_file(const std::string& path, uint64_t max_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(path, errno);
  auto out = read_descriptor(fd, path, max_bytes);
  ::close(fd);
  return out;
}

}  // namespace llmos
