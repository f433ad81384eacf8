#include "runtime/jobs/job_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "runtime/base/read_file.hpp"
#include "runtime/jobs/job_output.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_output_bytes = uint64_t{4} << 30;

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

job_file::job_file(job_file&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      is_done_(std::move(other.is_done_)),
      num_changed_(other.num_changed_) {}

job_file::~job_file() {
  if (fd_ >= 0) ::close(fd_);
}

failure job_file::cannot(const char* what) const {
  return {
      ec::io_error,
      std::string{"cannot "} + what + " " + path_ + ": " + std::generic_category().message(errno),
      "check the path, its permissions and the space left"};
}

result<job_file> job_file::open(const batch_job& job, existing_output how) {
  job_file file{job.output};
  const int exclusive = how == existing_output::refuse ? O_EXCL : 0;
  file.fd_ =
      ::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | exclusive, 0666);
  if (file.fd_ < 0 && errno == EEXIST) {
    return failure{ec::invalid_argument, "the output " + file.path_ + " exists",
                   "--resume runs what is missing in it, --overwrite starts over"};
  }
  if (file.fd_ < 0) return file.cannot("open");
  LLMOS_TRY_VOID(file.lock());
  file.is_done_.resize(job.items.size());
  if (how == existing_output::resume) {
    LLMOS_TRY_VOID(file.resume(job));
  } else if (::ftruncate(file.fd_, 0) != 0 && errno != EINVAL) {  // EINVAL: a pipe or a device
    return file.cannot("empty");
  }
  return file;
}

result<void> job_file::lock() const {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
  return failure{ec::invalid_argument, "another run writes " + path_, "wait for it to end"};
}

/// Replaces the file by what is kept of it, in one step: a crash leaves the old or the new one.
result<void> job_file::resume(const batch_job& job) {
  LLMOS_TRY(const std::string text, read_file(path_, max_output_bytes));
  LLMOS_TRY(auto earlier, read_earlier_output(text, path_, job));
  is_done_ = std::move(earlier.is_done);
  num_changed_ = earlier.num_changed;
  if (earlier.kept == text) return {};
  const std::string next = path_ + ".part";
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return cannot("open the successor of");
  ::close(std::exchange(fd_, fd));
  LLMOS_TRY_VOID(lock());
  errno = write_all(fd_, earlier.kept);
  if (errno != 0 || ::fsync(fd_) != 0 || std::rename(next.c_str(), path_.c_str()) != 0) {
    return cannot("rewrite");
  }
  return {};
}

result<void> job_file::write(std::string_view line) {
  errno = write_all(fd_, std::string{line} + "\n");
  if (errno != 0) return cannot("write");
  return {};
}

}  // namespace llmos
