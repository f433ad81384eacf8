#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>

#include "runtime/http/channel.hpp"
#include "runtime/http/server.hpp"

namespace llmos {

class http_connection;

/// What connections need of their server; all but `post` is used on its thread only.
class http_connection_host {
public:
  virtual ~http_connection_host() = default;
  virtual const http_server_options& options() const = 0;
  virtual void handle(http_request request, std::shared_ptr<http_exchange> exchange) = 0;
  virtual bool is_stopping() const = 0;
  virtual void closed(http_connection& x) = 0;
  /// More or fewer bytes of bodies that are being read. False: too many, and none were added.
  virtual bool add_body_bytes(int64_t n) = 0;
  virtual boost::asio::io_context& io() = 0;
  /// Calls it on the server's thread, or here when that has ended.
  virtual void post(std::function<void()> f) = 0;
};

/// A body that grows with what arrives: a declared length allocates nothing.
struct growing_body {
  using value_type = std::string;
  class reader {
  public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>&, boost::beast::error_code& e) { e = {}; }
    template <class Buffers>
    size_t put(const Buffers& buffers, boost::beast::error_code& e) {
      e = {};
      size_t n = 0;
      for (const auto buffer : boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        n += buffer.size();
      }
      return n;
    }
    void finish(boost::beast::error_code& e) { e = {}; }

  private:
    value_type& body_;
  };
};

/// One client.
///
///   handshake ─▶ reading ⇄ responding ─▶ lingering ─▶ closed
///
/// A read is outstanding at almost all times, so that a client's end is seen while it is answered.
class http_connection : public std::enable_shared_from_this<http_connection> {
public:
  using socket = boost::asio::ip::tcp::socket;
  using error_code = boost::beast::error_code;

  http_connection(socket s, boost::asio::ssl::context* tls,
                  std::shared_ptr<http_connection_host> host);

  void start();
  /// Answers 503 to the first thing that comes, and closes.
  void start_refused();
  /// An answer that has not begun says that the connection ends with it.
  void announce_end();
  /// Closes it if no request has begun to arrive and none is being answered.
  void close_idle();
  /// At once; who waits for an answer's end is told.
  void close();

private:
  enum class state : uint8_t { handshake, reading, responding, lingering, closed };
  using parser = boost::beast::http::request_parser<growing_body>;
  using io_handler = std::function<void(const error_code&, size_t)>;
  /// Why a request is not handed on.
  struct refusal {
    int status = 0;
    std::string why;
  };

  void read_next();
  void start_read();
  void on_read(const error_code& e, size_t n);
  void on_end();

  void parse();
  void check_head();
  std::optional<refusal> refusal_of_head() const;
  refusal refusal_of(const error_code& e) const;
  bool count_head(size_t num_bytes);
  bool count_body();
  void begin_exchange();
  http_request take_request();
  bool has_begun() const;

  void send_error(const refusal& x);
  void start_write();
  void on_write(const error_code& e, size_t n);
  void on_written();
  void linger();

  void read_some(io_handler done);
  void write_some(io_handler done);
  bool peer_has_left();
  void set_read_deadline(std::chrono::milliseconds after);
  void on_read_deadline();
  void set_write_deadline();

  const http_server_options& options() const { return host_->options(); }

  socket socket_;
  std::optional<boost::asio::ssl::stream<socket&>> tls_;
  std::shared_ptr<http_connection_host> host_;
  boost::asio::steady_timer read_timer_, write_timer_;
  std::string peer_;
  state state_ = state::handshake;

  std::array<char, 16u << 10> arrived_;  // what a read fills
  std::string input_;                    // not parsed yet
  std::optional<parser> parser_;
  http_headers headers_;  // of the head; a trailer adds none
  bool head_is_read_ = false;
  size_t num_head_bytes_ = 0;  // that the parser took
  bool is_reading_ = false;
  bool is_ended_ = false;   // the client's side is
  size_t num_counted_ = 0;  // of the body, at the host

  std::shared_ptr<http_channel> channel_;  // of the request that is being answered
  std::string own_;                        // what the connection says by itself
  std::string writing_;
  size_t num_written_ = 0;       // of writing_
  bool writes_channel_ = false;  // writing_ is the channel's
};

}  // namespace llmos
