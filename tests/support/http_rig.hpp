#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/http/server.hpp"

namespace llmos::test {

/// A socket to a server on this machine. A read that takes a minute fails the test: nothing here
/// waits that long for anything that comes at all.
class http_client {
public:
  /// `receive_bytes`: what the system may hold for it unread; 0: the usual.
  explicit http_client(uint16_t port, int receive_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    const timeval patience{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;
  ~http_client() { close(); }

  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// Closes as a client that dies: with a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void end() { ::shutdown(fd_, SHUT_WR); }

  /// False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  /// Up to and with `mark`, or what comes until the server closes.
  std::string read_until(std::string_view mark) {
    for (;;) {
      if (const auto at = seen_.find(mark); at != seen_.npos) return take(at + mark.size());
      if (!more()) return take(seen_.size());
    }
  }
  std::string read(size_t n) {
    while (seen_.size() < n && more()) continue;
    return take(std::min(n, seen_.size()));
  }
  std::string read_to_end() {
    while (more()) continue;
    return take(seen_.size());
  }

  struct response {
    std::string head;
    std::string body;
    int status() const { return head.size() > 12 ? std::stoi(head.substr(9, 3)) : 0; }
    bool has(std::string_view line) const {
      return head.find("\r\n" + std::string{line} + "\r\n") != head.npos;
    }
  };
  /// One response; one without length or chunks has no body.
  response read_response() {
    response out{read_until("\r\n\r\n"), ""};
    constexpr std::string_view length = "\r\nContent-Length: ";
    if (const auto at = out.head.find(length); at != out.head.npos) {
      out.body = read(std::stoul(out.head.substr(at + length.size())));
    } else if (out.has("Transfer-Encoding: chunked")) {
      while (const auto n = std::stoul("0" + read_until("\r\n"), nullptr, 16)) {
        out.body += read(n);
        REQUIRE(read(2) == "\r\n");
      }
      REQUIRE(read(2) == "\r\n");
    }
    return out;
  }

private:
  bool more() {
    char bytes[4096];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) FAIL("the server says nothing");
    if (n > 0) seen_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }
  std::string take(size_t n) {
    std::string out = seen_.substr(0, n);
    seen_.erase(0, n);
    return out;
  }

  int fd_;
  std::string seen_;
};

/// A server whose requests wait until the test takes them.
class http_rig {
public:
  using call = std::pair<http_request, std::shared_ptr<http_exchange>>;

  explicit http_rig(http_server_options options = {}) {
    auto started = http_server::start(std::move(options), [this](auto request, auto exchange) {
      const std::lock_guard lock(mutex_);
      calls_.emplace_back(std::move(request), std::move(exchange));
      came_.notify_one();
    });
    REQUIRE_MESSAGE(started.ok(), started.error().text);
    server = *std::move(started);
  }
  ~http_rig() {
    server->stop(std::chrono::milliseconds{0});
    calls_.clear();
  }

  /// The next request; waits for it.
  call take() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !calls_.empty(); });
    call out = std::move(calls_.front());
    calls_.pop_front();
    return out;
  }
  bool is_empty() {
    const std::lock_guard lock(mutex_);
    return calls_.empty();
  }
  uint16_t port() const { return server->port(); }

  std::unique_ptr<http_server> server;

private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<call> calls_;
};

inline std::string get(std::string_view path, std::string_view headers = "") {
  return "GET " + std::string{path} + " HTTP/1.1\r\nHost: x\r\n" + std::string{headers} + "\r\n";
}

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view headers = "") {
  return "POST " + std::string{path} +
         " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string{headers} + "\r\n" + std::string{body};
}

}  // namespace llmos::test
