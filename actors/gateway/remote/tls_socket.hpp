#pragma once

#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/stream.hpp>
#include <functional>
#include <utility>

#include "runtime/security/tls.hpp"

namespace llmos {

/// A socket of CAF's multiplexer that speaks TLS. Nothing may be put into wr_buf() before
/// is_open(): CAF's loop would try to write it again and again while the handshake waits for the
/// other side.
class tls_socket final : public caf::io::network::stream {
public:
  using operation = caf::io::network::operation;

  /// `opened`: called when the handshake is done, or has failed; false ends the connection.
  tls_socket(caf::io::network::default_multiplexer& mpx, caf::io::network::native_socket fd,
             tls_stream tls, std::function<bool(const result<tls_peer>&)> opened)
      : stream(mpx, fd), tls_(std::move(tls)), opened_(std::move(opened)) {}

  /// Begins to listen to the socket and shakes hands.
  void begin(caf::io::network::stream_manager* manager);
  bool is_open() const { return is_open_; }

  void handle_event(operation op) override;

private:
  using rw_state = caf::io::network::rw_state;
  /// As CAF's loops call it.
  struct policy {
    tls_stream& tls;
    rw_state read_some(size_t& result, caf::io::network::native_socket, void* to, size_t n);
    rw_state write_some(size_t& result, caf::io::network::native_socket, const void* from,
                        size_t n);
    bool must_read_more(caf::io::network::native_socket, size_t threshold);
  };

  bool shake_hands();

  tls_stream tls_;
  std::function<bool(const result<tls_peer>&)> opened_;
  manager_ptr manager_;  ///< Only while the handshake lasts.
  bool is_open_ = false;
};

}  // namespace llmos
