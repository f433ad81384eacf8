#pragma once

#include <csignal>
#include <vector>

namespace llmos {

/// Ctrl-C and friends as events for the one thread that waits for them. Made before any other
/// thread: SIGINT, SIGTERM, SIGHUP and `more` are blocked from then on, everywhere, and read only
/// here. Those that the program was started to ignore (`nohup`) stay ignored.
class interrupts {
public:
  explicit interrupts(std::vector<int> more = {});
  ~interrupts();
  interrupts(const interrupts&) = delete;
  interrupts& operator=(const interrupts&) = delete;

  /// Makes `wait` return 0, now or when it is next called. From any thread.
  void notify();

  /// Waits for a signal (returns its number) or for `notify` (returns 0).
  int wait();

  /// Waits for a signal (returns its number) or until `fd` can be read (returns 0).
  int wait_readable(int fd);

  /// From now on the next signal ends the program at once.
  void release();

private:
  int take_signal();

  sigset_t watched_;
  int signal_fd_ = -1;
  int event_fd_ = -1;
};

}  // namespace llmos
