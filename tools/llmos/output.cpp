#include "tools/llmos/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "runtime/base/read_file.hpp"

namespace llmos {

namespace {

/// 0, or the error number.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

}  // namespace

bool fill_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int wrong_way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", wrong_way) != fd) return false;  // the lowest free number
  }
  return true;
}

result<void> write_out(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0) return {};
  if (error == EPIPE) return reader_gone();
  if (error == EBADF) {
    return failure{ec::io_error, "standard output is closed", "give it a file, or > /dev/null"};
  }
  return failure{ec::io_error,
                 "cannot write to standard output: " + std::generic_category().message(error),
                 "check where it goes"};
}

void write_error(std::string_view text) {
  write_all(STDERR_FILENO, text);
}

failure reader_gone() {
  return {ec::cancelled, "the reader of standard output has gone", ""};
}

result<std::string> read_standard_input(uint64_t max_bytes) {
  if (::isatty(STDIN_FILENO) != 0) {
    return failure{ec::invalid_argument, "nothing on standard input",
                   "pipe text into the command, or give it as an argument where it takes one"};
  }
  return read_descriptor(STDIN_FILENO, "standard input", max_bytes);
}

}  // namespace llmos
