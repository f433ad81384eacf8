#include "tools/llmos/interrupts.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <initializer_list>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, s);
  return set;
}

}  // namespace

interrupts::interrupts() {
  const auto set = watched_signals();
  LLMOS_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  LLMOS_CHECK(signal_fd_ >= 0 && event_fd_ >= 0);
}

interrupts::~interrupts() {
  ::close(signal_fd_);
  ::close(event_fd_);
}

void interrupts::notify() {
  const uint64_t one = 1;
  LLMOS_CHECK(::write(event_fd_, &one, sizeof one) == sizeof one);
}

int interrupts::wait() {
  for (;;) {
    signalfd_siginfo signal{};
    if (::read(signal_fd_, &signal, sizeof signal) == sizeof signal) {
      return static_cast<int>(signal.ssi_signo);
    }
    uint64_t count = 0;
    if (::read(event_fd_, &count, sizeof count) == sizeof count) return 0;
    pollfd fds[] = {{signal_fd_, POLLIN, 0}, {event_fd_, POLLIN, 0}};
    ::poll(fds, 2, -1);  // whatever it says, the reads above decide
  }
}

void interrupts::release() {
  const auto set = watched_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // of this thread: it is then the one they reach
}

}  // namespace llmos
