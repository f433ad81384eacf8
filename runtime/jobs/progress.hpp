#pragma once

#include <cstdint>
#include <string>

namespace llmos {

/// How far a job is.
struct job_counts {
  size_t total = 0;
  size_t earlier = 0;  ///< Done by an earlier run.
  size_t done = 0;     ///< By this run.
  size_t failed = 0;
  size_t running = 0;
  uint64_t completion_tokens = 0;

  size_t ended() const { return earlier + done + failed; }
};

/// "0:09", "12:05", "1:00:00"
std::string clock_text(uint64_t seconds);

/// "12/40 done, 1 failed, 3.1 items/s, 85 tokens/s, 0:09 left": what does not apply yet is left
/// out. The rate is that of this run.
std::string progress_text(const job_counts& x, uint64_t elapsed_ms);

/// Decides when a person hears of a job. On a terminal one line is drawn over and over, at most
/// every 100 ms; elsewhere a line comes with every tenth of the job and after 10 s without one.
/// Pure: the caller brings the time and writes the text.
class progress_meter {
public:
  explicit progress_meter(bool is_terminal) : is_terminal_(is_terminal) {}

  /// What to write now; often nothing.
  std::string update(const job_counts& x, uint64_t elapsed_ms);

  /// Takes the drawn line away, before anything else is written to the terminal.
  std::string clear();

private:
  std::string bar(const job_counts& x, uint64_t elapsed_ms) const;

  bool is_terminal_;
  bool is_drawn_ = false;
  bool has_started_ = false;
  uint64_t last_ms_ = 0;
  size_t last_tenth_ = 0;
};

}  // namespace llmos
