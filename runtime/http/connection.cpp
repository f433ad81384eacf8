#include "runtime/http/connection.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace llmos {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// How long a connection is still read when the last answer is out: a socket that is closed with
/// unread bytes resets the connection, and the client may lose the answer.
constexpr std::chrono::seconds linger_timeout{2};

/// How often a client is looked after that has sent more than is read before it is answered.
constexpr std::chrono::milliseconds look_interval{100};

std::string name_of(const http_connection::socket& s) {
  boost::system::error_code e;
  const auto peer = s.remote_endpoint(e);
  if (e) return "unknown";
  const auto address = peer.address().to_string();
  const std::string port = ":" + std::to_string(peer.port());
  return peer.address().is_v6() ? "[" + address + "]" + port : address + port;
}

bool wants_body(http::verb method) {
  return method == http::verb::post || method == http::verb::put || method == http::verb::patch;
}

}  // namespace

http_connection::http_connection(socket s, asio::ssl::context* tls,
                                 std::shared_ptr<http_connection_host> host)
    : socket_(std::move(s)),
      host_(std::move(host)),
      read_timer_(host_->io()),
      write_timer_(host_->io()),
      peer_(name_of(socket_)) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
  socket_.set_option(asio::socket_base::keep_alive{true}, ignored);
  if (tls != nullptr) tls_.emplace(socket_, *tls);
}

void http_connection::start() {
  set_read_deadline(options().read_timeout);
  if (!tls_) return read_next();
  tls_->async_handshake(asio::ssl::stream_base::server,
                        [self = shared_from_this()](const error_code& e) {
                          if (self->state_ == state::closed) return;
                          e ? self->close() : self->read_next();
                        });
}

void http_connection::start_refused() {
  if (tls_) return close();
  send_error({503, "there are too many connections"});
  start_read();
}

void http_connection::announce_end() {
  if (channel_) channel_->close_afterwards();
}

void http_connection::close_idle() {
  const bool is_idle = state_ == state::reading && !has_begun();
  if (is_idle || state_ == state::handshake) close();
}

void http_connection::close() {
  if (state_ == state::closed) return;
  state_ = state::closed;
  const auto self = shared_from_this();
  error_code ignored;
  read_timer_.cancel();
  write_timer_.cancel();
  socket_.close(ignored);
  host_->add_body_bytes(-static_cast<int64_t>(std::exchange(num_counted_, 0)));
  host_->closed(*this);
  if (const auto channel = std::exchange(channel_, nullptr)) channel->lose();
}

// ---- Reading

void http_connection::read_next() {
  const bool is_first = state_ == state::handshake;
  state_ = state::reading;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(options().max_header_bytes));
  parser_->body_limit(options().max_body_bytes);
  head_is_read_ = false;
  num_head_bytes_ = 0;
  if (!is_first) {
    set_read_deadline(input_.empty() ? options().idle_timeout : options().read_timeout);
  }
  parse();
  start_read();
}

void http_connection::start_read() {
  if (is_reading_ || is_ended_ || state_ == state::closed) return;
  // Requests that come before the last one is answered wait: here, then at the client.
  if (state_ == state::responding && input_.size() >= options().max_header_bytes) {
    if (channel_) set_read_deadline(look_interval);
    return;
  }
  is_reading_ = true;
  read_some([self = shared_from_this()](const error_code& e, size_t n) { self->on_read(e, n); });
}

void http_connection::on_read(const error_code& e, size_t n) {
  is_reading_ = false;
  if (state_ == state::closed) return;
  if (e) return on_end();
  if (state_ == state::lingering) return start_read();
  const bool was_idle = state_ == state::reading && !has_begun();
  input_.append(arrived_.data(), n);
  // The first request has been waited for since the client came.
  if (was_idle &&
      read_timer_.expiry() > std::chrono::steady_clock::now() + options().read_timeout) {
    set_read_deadline(options().read_timeout);
  }
  parse();
  start_read();
}

/// The client said that nothing more comes, or is lost. It still gets an answer that is ready.
void http_connection::on_end() {
  is_ended_ = true;
  const bool is_answered = !channel_ || channel_->is_ended();
  if (state_ != state::responding || !is_answered) close();
}

bool http_connection::has_begun() const {
  return !input_.empty() || (parser_ && parser_->got_some());
}

void http_connection::parse() {
  while (state_ == state::reading) {
    if (!parser_->got_some()) {  // empty lines before a request do no harm
      input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
    }
    if (input_.empty()) return;
    error_code e;
    const size_t num_parsed = parser_->put(asio::buffer(input_), e);
    input_.erase(0, num_parsed);
    if (!count_head(num_parsed)) return send_error(refusal_of(http::error::header_limit));
    if (!count_body()) return send_error({503, "too many requests are being read"});
    if (e == http::error::need_more) {
      if (input_.size() <= options().max_header_bytes) return;
      return send_error({400, "a line between two chunks is too long"});
    }
    if (e) return send_error(refusal_of(e));
    if (!head_is_read_) check_head();
    if (state_ == state::reading && parser_->is_done()) begin_exchange();
  }
}

/// The parser stops behind the head, so that a body is not read in vain.
void http_connection::check_head() {
  if (!parser_->is_header_done()) return;
  head_is_read_ = true;
  headers_.clear();
  for (const auto& field : parser_->get()) {
    std::string name{field.name_string().data(), field.name_string().size()};
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    headers_.emplace_back(std::move(name), std::string{field.value().data(), field.value().size()});
  }
  if (const auto refused = refusal_of_head()) return send_error(*refused);
  parser_->eager(true);
  if (parser_->is_done() || parser_->get().count(http::field::expect) == 0) return;
  own_ += "HTTP/1.1 100 Continue\r\n\r\n";
  start_write();
}

std::optional<http_connection::refusal> http_connection::refusal_of_head() const {
  const auto& head = parser_->get();
  const bool is_1_0 = head.version() == 10;
  if (head.target().size() > options().max_target_bytes) {
    return refusal{
        414, "the target is longer than " + std::to_string(options().max_target_bytes) + " bytes"};
  }
  if (!is_1_0 && head.count(http::field::host) != 1) {
    return refusal{400, "a request has one Host header"};
  }
  if (head.count(http::field::transfer_encoding) > 0) {
    if (is_1_0) return refusal{400, "HTTP/1.0 has no Transfer-Encoding"};
    const auto coding = head[http::field::transfer_encoding];
    if (!boost::beast::iequals(coding, "chunked")) {
      return refusal{501, "the only Transfer-Encoding known here is chunked"};
    }
  } else if (head.count(http::field::content_length) == 0 && wants_body(head.method())) {
    return refusal{411, "the length of the body is missing: send Content-Length"};
  }
  const auto expect = head[http::field::expect];
  if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) {
    return refusal{417, "the only expectation known here is 100-continue"};
  }
  return std::nullopt;
}

http_connection::refusal http_connection::refusal_of(const error_code& e) const {
  if (e == http::error::header_limit || e == http::error::buffer_overflow) {
    const std::string limit = std::to_string(options().max_header_bytes);
    if (parser_->get().target().empty()) return {414, "the target exceeds " + limit + " bytes"};
    return {431, "the headers exceed " + limit + " bytes"};
  }
  if (e == http::error::body_limit) {
    return {413, "the body exceeds " + std::to_string(options().max_body_bytes) + " bytes"};
  }
  if (e == http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, "this is no HTTP request: " + e.message()};
}

/// The parser's limit holds for what one call sees of a head; this one for all of it.
bool http_connection::count_head(size_t num_bytes) {
  if (head_is_read_) return true;
  num_head_bytes_ += num_bytes;
  return num_head_bytes_ <= options().max_header_bytes;
}

bool http_connection::count_body() {
  const size_t n = parser_->get().body().size();
  if (!host_->add_body_bytes(static_cast<int64_t>(n - num_counted_))) return false;
  num_counted_ = n;
  return true;
}

void http_connection::begin_exchange() {
  state_ = state::responding;
  read_timer_.cancel();
  host_->add_body_bytes(-static_cast<int64_t>(std::exchange(num_counted_, 0)));
  const http_answer_form form{parser_->get().method() == http::verb::head,
                              parser_->get().version() == 10,
                              parser_->keep_alive() && !host_->is_stopping()};
  const std::weak_ptr<http_connection> weak = weak_from_this();
  const auto look = [weak] {
    if (const auto self = weak.lock()) self->start_write();
  };
  channel_ = std::make_shared<http_channel>(
      form, options().max_buffered_bytes,
      http_channel::hooks{[host = host_, look] { host->post(look); },
                          [host = host_](std::function<void()> f) { host->post(std::move(f)); }});
  host_->handle(take_request(), std::make_shared<http_exchange>(channel_));
}

http_request http_connection::take_request() {
  auto& head = parser_->get();
  http_request out;
  out.method = std::string{head.method_string().data(), head.method_string().size()};
  std::tie(out.path, out.query) = split_target({head.target().data(), head.target().size()});
  out.headers = std::move(headers_);
  out.body = std::move(head.body());
  out.peer = peer_;
  parser_.reset();
  return out;
}

// ---- Writing

void http_connection::send_error(const refusal& x) {
  http_error_body shown{.body = x.why + "\n"};
  if (options().error_body) shown = options().error_body(x.status, x.why);
  const http_framing framing{.content_length = shown.body.size(), .keeps_alive = false};
  const int64_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  shown.more.emplace_back("Content-Type", shown.content_type);
  own_ += render_head(x.status, shown.more, framing, now) + shown.body;
  state_ = state::responding;
  read_timer_.cancel();
  start_write();
}

void http_connection::start_write() {
  if (state_ == state::closed) return;
  if (channel_ && channel_->is_broken()) return close();
  if (!writing_.empty()) return;
  writes_channel_ = own_.empty() && channel_;
  writing_ = writes_channel_ ? channel_->take() : std::exchange(own_, {});
  if (writing_.empty()) return on_written();
  set_write_deadline();
  write_some([self = shared_from_this()](const error_code& e, size_t n) { self->on_write(e, n); });
}

void http_connection::on_write(const error_code& e, size_t n) {
  write_timer_.cancel();
  if (state_ == state::closed) return;
  if (e) return close();
  num_written_ += n;
  if (writes_channel_) channel_->sent(n);
  if (num_written_ == writing_.size()) {
    writing_ = {};
    num_written_ = 0;
    return start_write();
  }
  set_write_deadline();
  write_some([self = shared_from_this()](const error_code& e, size_t n) { self->on_write(e, n); });
}

/// Nothing waits to be sent; the answer may go on or be out.
void http_connection::on_written() {
  if (state_ != state::responding) return;
  if (!channel_) return linger();
  if (!channel_->is_finished()) return;
  const bool goes_on = channel_->keeps_alive() && !is_ended_ && !host_->is_stopping();
  channel_ = nullptr;
  goes_on ? read_next() : linger();
}

void http_connection::linger() {
  state_ = state::lingering;
  if (is_ended_) return close();
  set_read_deadline(linger_timeout);
  error_code ignored;
  if (tls_) {
    tls_->async_shutdown([self = shared_from_this()](const error_code&) { self->close(); });
  } else {
    socket_.shutdown(socket::shutdown_send, ignored);
  }
  input_ = {};
  start_read();
}

// ---- Sockets and time

void http_connection::read_some(io_handler done) {
  const auto to = asio::buffer(arrived_);
  tls_ ? tls_->async_read_some(to, std::move(done)) : socket_.async_read_some(to, std::move(done));
}

void http_connection::write_some(io_handler done) {
  const auto from = asio::buffer(writing_) + num_written_;
  tls_ ? tls_->async_write_some(from, std::move(done))
       : socket_.async_write_some(from, std::move(done));
}

void http_connection::set_read_deadline(std::chrono::milliseconds after) {
  read_timer_.expires_after(after);
  read_timer_.async_wait([self = shared_from_this()](const error_code& e) {
    // It may have been set anew when this was already on its way.
    if (e || self->read_timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->on_read_deadline();
  });
}

void http_connection::on_read_deadline() {
  if (state_ == state::responding) return peer_has_left() ? on_end() : start_read();
  if (state_ != state::reading || !has_begun()) return close();
  send_error({408, "the request did not arrive in time"});
}

/// Seen behind what it sent before, unless that is more than the system holds for a socket.
bool http_connection::peer_has_left() {
  pollfd looked_at{socket_.native_handle(), POLLRDHUP, 0};
  return ::poll(&looked_at, 1, 0) > 0;
}

void http_connection::set_write_deadline() {
  write_timer_.expires_after(options().write_timeout);
  write_timer_.async_wait([self = shared_from_this()](const error_code& e) {
    if (e || self->write_timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->close();
  });
}

}  // namespace llmos
