#include "actors/gateway/remote/tls_socket.hpp"

namespace llmos {

namespace {
using progress = tls_stream::progress;
}

void tls_socket::begin(caf::io::network::stream_manager* manager) {
  manager_ = manager;
  start(manager);
  force_empty_write(manager);  // a client speaks first
}

void tls_socket::handle_event(operation op) {
  if (phase_ == phase::over) return;
  if (phase_ == phase::shaking) {
    if (op == operation::propagate_error) {
      opened_(failure{ec::io_error, "the connection was cut", ""});
      return end();
    }
    if (!shake_hands()) return;
  }
  handle_event_impl(op, policy_);
}

/// Returns whether the socket is open now.
bool tls_socket::shake_hands() {
  switch (tls_.handshake()) {
    case progress::wants_read:
      // Of nothing, which takes the socket off the list of those that wait for it.
      handle_event_impl(operation::write, policy_);
      return false;
    case progress::wants_write: force_empty_write(manager_); return false;
    case progress::done:
      phase_ = phase::open;
      if (opened_(tls_.peer())) return true;
      break;
    case progress::closed: opened_(failure{ec::io_error, "the other side hung up", ""}); break;
    case progress::failed: opened_(failure{ec::io_error, tls_.error(), ""}); break;
  }
  end();
  return false;
}

/// The loop lets go of the socket, and its owner, when the events of this round are handled.
void tls_socket::end() {
  phase_ = phase::over;
  handle_event_impl(operation::propagate_error, policy_);
  backend().del(operation::write, fd(), this);
}

void tls_socket::finish() {
  is_stuck_ = false;
  while (is_open() && state_.writing && !is_stuck_) handle_event(operation::write);
  cut();
}

/// Both ways: one who has gone and does not read would else keep what waits for him.
void tls_socket::cut() {
  caf::io::network::shutdown_both(fd());
}

tls_socket::rw_state tls_socket::policy::read_some(size_t& result,
                                                   caf::io::network::native_socket fd, void* to,
                                                   size_t n) {
  result = 0;
  switch (tls.read(to, n, result)) {
    case progress::done: return rw_state::success;
    case progress::wants_read:
    case progress::wants_write: return rw_state::success;  // of nothing: when it can be read
    default: break;
  }
  caf::io::network::shutdown_both(fd);  // what waits to be written ends as well
  return rw_state::failure;
}

tls_socket::rw_state tls_socket::policy::write_some(size_t& result, caf::io::network::native_socket,
                                                    const void* from, size_t n) {
  result = 0;
  if (n == 0) return rw_state::indeterminate;
  const auto made = tls.write(from, n, result);
  is_stuck = made != progress::done;
  switch (made) {
    case progress::done:
    case progress::wants_read:
    case progress::wants_write: return rw_state::success;
    default: return rw_state::failure;
  }
}

bool tls_socket::policy::must_read_more(caf::io::network::native_socket, size_t threshold) {
  return tls.pending() >= threshold;
}

}  // namespace llmos
