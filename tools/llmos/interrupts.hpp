#pragma once

namespace llmos {

/// Ctrl-C and friends as events for the one thread that waits for them. Made before any other
/// thread: SIGINT, SIGTERM and SIGHUP are blocked from then on, everywhere, and read only here.
class interrupts {
public:
  interrupts();
  ~interrupts();
  interrupts(const interrupts&) = delete;
  interrupts& operator=(const interrupts&) = delete;

  /// Makes `wait` return 0, now or when it is next called. From any thread.
  void notify();

  /// Waits for a signal (returns its number) or for `notify` (returns 0).
  int wait();

  /// From now on the next signal ends the program at once.
  void release();

private:
  int signal_fd_ = -1;
  int event_fd_ = -1;
};

}  // namespace llmos
