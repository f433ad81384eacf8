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

  /// Registers the socket, which `manager` owns; hands are shaken when the loop finds it ready. Not
  /// at once: the broker calls this in the middle of a message, and may not be told meanwhile, by
  /// another one, that the connection is over. Nor does the loop let go of what is registered and
  /// removed again in one round.
  void begin(caf::io::network::stream_manager* manager);
  bool is_open() const { return phase_ == phase::open; }
  /// Writes what the other side's socket takes now, and cuts: nothing waits for one who may never
  /// read.
  void finish();
  void cut();

  void handle_event(operation op) override;

private:
  using rw_state = caf::io::network::rw_state;
  /// As CAF's loops call it.
  struct policy {
    tls_stream& tls;
    bool& is_stuck;
    rw_state read_some(size_t& result, caf::io::network::native_socket, void* to, size_t n);
    rw_state write_some(size_t& result, caf::io::network::native_socket, const void* from,
                        size_t n);
    bool must_read_more(caf::io::network::native_socket, size_t threshold);
  };

  bool shake_hands();
  void end();

  enum class phase { shaking, open, over };

  tls_stream tls_;
  std::function<bool(const result<tls_peer>&)> opened_;
  caf::io::network::stream_manager* manager_ = nullptr;
  phase phase_ = phase::shaking;
  bool is_stuck_ = false;  ///< The last attempt to write did not get all of it out.
  policy policy_{tls_, is_stuck_};
};

}  // namespace llmos
