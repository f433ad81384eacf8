#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/jobs/job.hpp"

namespace llmos {

/// What to do with an output file that is there already.
enum class existing_output : uint8_t {
  refuse,
  overwrite,
  resume,  ///< Keep the lines of items that are done and append the others.
};

/// The output file of one run, locked against a second one. Lines are written as they come, each
/// in one piece: a run that is killed leaves whole lines and at most one that is cut.
class job_file {
public:
  /// Opens or makes `job.output`. Errors: invalid_argument (it exists, another run writes it),
  /// io_error, bad_file (resume: it is not this job's output).
  static result<job_file> open(const batch_job& job, existing_output how);

  job_file(job_file&& other) noexcept;
  job_file& operator=(job_file&&) = delete;
  ~job_file();

  /// Appends a line. Errors: io_error.
  result<void> write(std::string_view line);

  /// Items that need not run, [items].
  const std::vector<bool>& is_done() const { return is_done_; }

  /// Answers of an earlier run that were dropped: the job asks something else now.
  size_t num_changed() const { return num_changed_; }

private:
  explicit job_file(std::string path) : path_(std::move(path)) {}
  result<void> lock() const;
  result<void> resume(const batch_job& job);
  failure cannot(const char* what) const;

  std::string path_;
  int fd_ = -1;
  std::vector<bool> is_done_;
  size_t num_changed_ = 0;
};

}  // namespace llmos
