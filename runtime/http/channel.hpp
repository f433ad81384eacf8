#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "runtime/http/message.hpp"

namespace llmos {

/// How a request wants to be answered.
struct http_answer_form {
  bool is_head = false;
  bool is_http_1_0 = false;
  bool keeps_alive = true;
};

/// What an exchange, on any thread, and its connection, on the server's, have in common: bytes that
/// wait to be sent, and how far the answer is.
class http_channel {
public:
  /// `wake`: has the connection look here soon. `call`: calls a function on the server's thread.
  struct hooks {
    std::function<void()> wake;
    std::function<void(std::function<void()>)> call;
  };
  http_channel(http_answer_form form, size_t max_buffered_bytes, hooks h);

  // For http_exchange, which says what they do.
  void respond(int status, const http_headers& headers, std::string_view body);
  void start(int status, const http_headers& headers);
  bool write(std::string_view bytes);
  void end();
  size_t buffered_bytes() const;
  void on_gone(std::function<void()> told);
  void abandon();

  // For the connection.
  std::string take();           ///< All bytes that wait to be sent.
  void sent(size_t num_bytes);  ///< So many of those that were taken are.
  bool is_ended() const;        ///< Nothing more will come.
  bool is_finished() const;     ///< And nothing waits to be sent.
  bool is_broken() const;       ///< The connection has to be closed.
  bool keeps_alive() const;
  void close_afterwards();  ///< The answer, if it has not begun, says that the connection ends.
  void lose();              ///< The connection is lost.

private:
  enum class phase : uint8_t { waiting, streaming, ended };

  bool has_body(int status) const;
  void put_head(int status, const http_headers& headers, http_framing framing);
  void put(std::string_view bytes);
  void finish();

  mutable std::mutex mutex_;
  http_answer_form form_;
  const size_t max_buffered_bytes_;
  const hooks hooks_;
  phase phase_ = phase::waiting;
  bool is_chunked_ = false;
  bool drops_body_ = false;
  bool is_broken_ = false;
  bool is_gone_ = false;
  std::string outbox_;
  size_t num_taken_ = 0;  // bytes that were taken and not sent
  std::function<void()> told_;
};

}  // namespace llmos
