#include "runtime/http/server.hpp"

#include <openssl/ssl.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include "runtime/http/connection.hpp"

namespace llmos {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;

/// Refused connections that may wait for their 503 at a time; more are just closed.
constexpr size_t max_refused = 64;
/// Until the next try where no descriptor is left.
constexpr std::chrono::milliseconds accept_pause{100};

}  // namespace

class http_server::engine : public http_connection_host,
                            public std::enable_shared_from_this<engine> {
public:
  engine(http_server_options options, http_handler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {
    if (options_.tls == nullptr) return;
    ::SSL_CTX_up_ref(options_.tls);
    tls_.emplace(options_.tls);  // takes that reference over
  }

  result<void> listen();
  void run();
  void drain(std::function<void()> ended);
  void stop(std::chrono::milliseconds grace);

  uint16_t port() const { return port_; }
  size_t num_connections() const { return num_connections_; }

  const http_server_options& options() const override { return options_; }
  void handle(http_request request, std::shared_ptr<http_exchange> exchange) override {
    handler_(std::move(request), std::move(exchange));
  }
  bool is_stopping() const override { return is_stopping_; }
  void closed(http_connection& x) override;
  bool add_body_bytes(int64_t n) override;
  void post(std::function<void()> f) override;
  asio::io_context& io() override { return io_; }

private:
  void accept();
  void on_accept(const error_code& e, tcp::socket socket);
  void close_idle();
  void begin_stop(std::chrono::milliseconds grace);
  void close_all();

  const http_server_options options_;
  const http_handler handler_;
  std::optional<asio::ssl::context> tls_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer accept_timer_{io_}, grace_timer_{io_};
  std::set<std::shared_ptr<http_connection>> connections_;
  std::atomic<size_t> num_connections_ = 0;
  size_t num_body_bytes_ = 0;
  bool is_stopping_ = false;
  std::function<void()> ended_;  // called when the last connection is closed
  uint16_t port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  bool has_ended_ = false;  // guarded by mutex_
};

result<void> http_server::engine::listen() {
  error_code e;
  const auto address = asio::ip::make_address(options_.address, e);
  if (e) {
    return failure{ec::invalid_argument, "'" + options_.address + "' is no IP address",
                   "127.0.0.1 is this machine only, 0.0.0.0 and :: are all of its addresses"};
  }
  const tcp::endpoint where{address, options_.port};
  acceptor_.open(where.protocol(), e);
  if (!e) acceptor_.set_option(asio::socket_base::reuse_address{true}, e);
  if (!e) acceptor_.bind(where, e);
  if (!e) acceptor_.listen(asio::socket_base::max_listen_connections, e);
  if (!e) port_ = acceptor_.local_endpoint(e).port();
  if (!e) return {};
  return failure{ec::io_error,
                 "cannot listen on " + options_.address + " port " + std::to_string(options_.port) +
                     ": " + e.message(),
                 "choose another port or address, or stop who has this one"};
}

void http_server::engine::run() {
  accept();
  thread_ = std::thread{[this] {
    sigset_t all;  // signals are for the program's other threads
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    io_.run();
  }};
}

void http_server::engine::accept() {
  acceptor_.async_accept(
      [this](const error_code& e, tcp::socket socket) { on_accept(e, std::move(socket)); });
}

void http_server::engine::on_accept(const error_code& e, tcp::socket socket) {
  if (is_stopping_) return;
  if (e) {
    accept_timer_.expires_after(accept_pause);
    accept_timer_.async_wait([this](const error_code& cancelled) {
      if (!cancelled && !is_stopping_) accept();
    });
    return;
  }
  accept();
  const size_t n = connections_.size();
  if (n >= options_.max_connections + max_refused) return;  // closes it
  const auto x = std::make_shared<http_connection>(std::move(socket), tls_ ? &*tls_ : nullptr,
                                                   shared_from_this());
  connections_.insert(x);
  num_connections_ = n + 1;
  n < options_.max_connections ? x->start() : x->start_refused();
}

void http_server::engine::closed(http_connection& x) {
  connections_.erase(x.shared_from_this());
  num_connections_ = connections_.size();
  if (!is_stopping_ || !connections_.empty()) return;
  grace_timer_.cancel();
  if (const auto ended = std::exchange(ended_, nullptr)) ended();
}

bool http_server::engine::add_body_bytes(int64_t n) {
  if (n > 0 && num_body_bytes_ + static_cast<size_t>(n) > options_.max_incoming_bytes) {
    return false;
  }
  num_body_bytes_ += static_cast<size_t>(n);
  return true;
}

void http_server::engine::post(std::function<void()> f) {
  {
    const std::lock_guard lock(mutex_);
    if (!has_ended_) return asio::post(io_, std::move(f));
  }
  f();
}

void http_server::engine::stop(std::chrono::milliseconds grace) {
  if (!thread_.joinable()) return;
  asio::post(io_, [this, grace] { begin_stop(grace); });
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
  }
  io_.restart();
  io_.poll();  // what came in between
}

void http_server::engine::drain(std::function<void()> ended) {
  post([this, ended = std::move(ended)] {
    close_idle();
    if (connections_.empty()) return ended();
    ended_ = ended;
  });
}

void http_server::engine::close_idle() {
  is_stopping_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
  const auto all = connections_;
  for (const auto& x : all) x->announce_end();
  for (const auto& x : all) x->close_idle();
}

void http_server::engine::begin_stop(std::chrono::milliseconds grace) {
  close_idle();
  if (connections_.empty()) return;
  if (grace.count() <= 0) return close_all();
  grace_timer_.expires_after(grace);
  grace_timer_.async_wait([this](const error_code& cancelled) {
    if (!cancelled) close_all();
  });
}

void http_server::engine::close_all() {
  const auto all = connections_;
  for (const auto& x : all) x->close();
}

http_server::http_server(std::shared_ptr<engine> e) : engine_(std::move(e)) {}

http_server::~http_server() {
  stop(std::chrono::milliseconds{0});
}

result<std::unique_ptr<http_server>> http_server::start(http_server_options options,
                                                        http_handler handler) {
  auto e = std::make_shared<engine>(std::move(options), std::move(handler));
  LLMOS_TRY_VOID(e->listen());
  e->run();
  return std::make_unique<http_server>(std::move(e));
}

uint16_t http_server::port() const {
  return engine_->port();
}

size_t http_server::num_connections() const {
  return engine_->num_connections();
}

void http_server::drain(std::function<void()> ended) {
  engine_->drain(std::move(ended));
}

void http_server::stop(std::chrono::milliseconds grace) {
  engine_->stop(grace);
}

}  // namespace llmos
