#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/http/message.hpp"

namespace llmos {

class http_channel;

/// The answer to one request; every function may be called from any thread.
///
///   waiting ──respond──────────────────────────▶ ended
///      └─────start──▶ streaming ──write*, end────▶ ended
///
/// Calling one where the drawing has no such arrow is a bug and ends the program, except after the
/// client went away: then every call does nothing. An exchange that is destroyed before it ended
/// answers 500, or, when it was streaming, closes the connection so that the client sees that the
/// answer is not whole.
class http_exchange {
public:
  explicit http_exchange(std::shared_ptr<http_channel> channel);
  ~http_exchange();
  http_exchange(const http_exchange&) = delete;
  http_exchange& operator=(const http_exchange&) = delete;

  /// The whole answer. Its length, the date and what the connection needs are added.
  void respond(int status, const http_headers& headers, std::string_view body);

  /// Begins an answer whose length is not known.
  void start(int status, const http_headers& headers);
  /// Bytes of it, which the client gets at once. False: the client is gone, or with these bytes
  /// more than max_buffered_bytes would have waited for it, and the connection is being closed.
  bool write(std::string_view bytes);
  void end();

  /// Bytes that were written here and have not been handed to the operating system.
  size_t buffered_bytes() const;

  /// `told` is called once if the connection is lost before the answer ended, on the server's
  /// thread, also where that has happened already; it has to return at once. Only when the server
  /// has stopped before, it is called here and now. Replaces one that was set earlier.
  void on_gone(std::function<void()> told);

private:
  std::shared_ptr<http_channel> channel_;
};

}  // namespace llmos
