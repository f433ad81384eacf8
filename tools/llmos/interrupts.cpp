#include "tools/llmos/interrupts.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

/// `nohup`, or a shell that starts a job in the background, wants the signal to do nothing. A
/// signalfd would deliver it all the same.
bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

interrupts::interrupts(std::vector<int> more) {
  more.insert(more.end(), {SIGINT, SIGTERM, SIGHUP});
  sigemptyset(&watched_);
  for (const int s : more) {
    if (!is_ignored(s)) sigaddset(&watched_, s);
  }
  LLMOS_CHECK(pthread_sigmask(SIG_BLOCK, &watched_, nullptr) == 0);
  signal_fd_ = ::signalfd(-1, &watched_, SFD_CLOEXEC | SFD_NONBLOCK);
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

/// The number of a signal that has come, or 0.
int interrupts::take_signal() {
  signalfd_siginfo signal{};
  const bool came = ::read(signal_fd_, &signal, sizeof signal) == sizeof signal;
  return came ? static_cast<int>(signal.ssi_signo) : 0;
}

int interrupts::wait() {
  for (;;) {
    if (const int signal = take_signal()) return signal;
    uint64_t count = 0;
    if (::read(event_fd_, &count, sizeof count) == sizeof count) return 0;
    pollfd fds[] = {{signal_fd_, POLLIN, 0}, {event_fd_, POLLIN, 0}};
    ::poll(fds, 2, -1);  // whatever it says, the reads above decide
  }
}

int interrupts::wait_readable(int fd) {
  for (;;) {
    if (const int signal = take_signal()) return signal;
    pollfd fds[] = {{signal_fd_, POLLIN, 0}, {fd, POLLIN, 0}};
    if (::poll(fds, 2, -1) > 0 && fds[1].revents != 0) return 0;
  }
}

void interrupts::release() {
  pthread_sigmask(SIG_UNBLOCK, &watched_,
                  nullptr);  // of this thread: it is then the one they reach
}

}  // namespace llmos
