#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "actors/gateway/batch/batch.hpp"
#include "runtime/jobs/progress.hpp"

namespace llmos {

/// Where a job's results go and what time it is; the program's own streams or a test's strings.
struct console_io {
  std::function<result<void>(std::string_view)> write_line;  ///< Empty: no output lines.
  std::function<result<void>(std::string_view)> print;       ///< Empty: answers are not printed.
  std::function<void(const job_item&, const outcome&)> log;  ///< Empty: nothing is logged.
  std::function<void(std::string_view)> show_progress;
  std::function<uint64_t()> elapsed_ms;
  std::function<void(job_counts, failure)> finished;
  bool is_terminal = false;  ///< Where progress is shown.
};

/// Listens to a job for a person: output lines, answers in the items' order, progress.
class batch_console : public batch_listener {
public:
  batch_console(std::shared_ptr<const batch_job> job, const std::vector<bool>& is_done,
                console_io io);

  result<void> on_ended(const ended_item& item) override;
  void on_progress(const job_counts& counts) override;
  void on_finished(const job_counts& counts, const failure& why) override;

private:
  result<void> print_in_order();

  std::shared_ptr<const batch_job> job_;
  std::vector<bool> is_done_;
  console_io io_;
  progress_meter meter_;
  std::map<size_t, std::string> held_back_;  // answers whose predecessors still run
  size_t next_to_print_ = 0;
};

}  // namespace llmos
