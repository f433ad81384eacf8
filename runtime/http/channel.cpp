#include "runtime/http/channel.hpp"

#include <charconv>
#include <chrono>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/http/exchange.hpp"

namespace llmos {

namespace {

int64_t unix_time() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

http_channel::http_channel(http_answer_form form, size_t max_buffered_bytes, hooks h)
    : form_(form), max_buffered_bytes_(max_buffered_bytes), hooks_(std::move(h)) {}

bool http_channel::has_body(int status) const {
  return !form_.is_head && status != 204 && status != 304;
}

void http_channel::put_head(int status, const http_headers& headers, http_framing framing) {
  framing.is_http_1_0 = form_.is_http_1_0;
  framing.keeps_alive = form_.keeps_alive;
  outbox_ += render_head(status, headers, framing, unix_time());
}

/// One chunk, or plain bytes where the end of the connection ends the answer.
void http_channel::put(std::string_view bytes) {
  if (!is_chunked_) {
    outbox_ += bytes;
    return;
  }
  char size[20];
  const auto end = std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr;
  outbox_.append(size, end);
  outbox_ += "\r\n";
  outbox_ += bytes;
  outbox_ += "\r\n";
}

void http_channel::respond(int status, const http_headers& headers, std::string_view body) {
  std::function<void()> dropped;  // may hold the exchange: destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    LLMOS_CHECK(phase_ == phase::waiting || is_gone_);
    if (is_gone_) return;
    http_framing framing;
    if (has_body(status) || form_.is_head) framing.content_length = body.size();
    put_head(status, headers, framing);
    if (has_body(status)) outbox_ += body;
    phase_ = phase::ended;
    dropped.swap(told_);
  }
  hooks_.wake();
}

void http_channel::start(int status, const http_headers& headers) {
  {
    const std::lock_guard lock(mutex_);
    LLMOS_CHECK(phase_ == phase::waiting || is_gone_);
    if (is_gone_) return;
    drops_body_ = !has_body(status);
    if (form_.is_http_1_0) form_.keeps_alive = false;
    is_chunked_ = !form_.is_http_1_0 && status != 204 && status != 304;
    http_framing framing;
    framing.is_chunked = is_chunked_;
    put_head(status, headers, framing);
    phase_ = phase::streaming;
  }
  hooks_.wake();
}

bool http_channel::write(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    LLMOS_CHECK(phase_ == phase::streaming || is_gone_);
    if (is_gone_ || is_broken_) return false;
    if (drops_body_ || bytes.empty()) return true;  // an empty chunk would be the last one
    if (outbox_.size() + num_taken_ + bytes.size() > max_buffered_bytes_) {
      is_broken_ = true;
    } else {
      put(bytes);
    }
    if (!is_broken_) bytes = {};
  }
  hooks_.wake();
  return bytes.empty();
}

void http_channel::end() {
  std::function<void()> dropped;
  {
    const std::lock_guard lock(mutex_);
    LLMOS_CHECK(phase_ == phase::streaming || is_gone_);
    if (is_gone_ || is_broken_) return;  // its owner will be told
    if (is_chunked_ && !drops_body_) outbox_ += "0\r\n\r\n";
    phase_ = phase::ended;
    dropped.swap(told_);
  }
  hooks_.wake();
}

size_t http_channel::buffered_bytes() const {
  const std::lock_guard lock(mutex_);
  return outbox_.size() + num_taken_;
}

void http_channel::on_gone(std::function<void()> told) {
  {
    const std::lock_guard lock(mutex_);
    if (!is_gone_) {
      if (phase_ != phase::ended) told_.swap(told);
      return;
    }
    if (phase_ == phase::ended) return;
  }
  hooks_.call(std::move(told));
}

void http_channel::abandon() {
  bool is_unanswered = false;
  std::function<void()> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (is_gone_ || phase_ == phase::ended) return;
    dropped.swap(told_);
    is_unanswered = phase_ == phase::waiting;
    is_broken_ = !is_unanswered;
  }
  if (is_unanswered) return respond(500, {}, "");
  hooks_.wake();
}

std::string http_channel::take() {
  const std::lock_guard lock(mutex_);
  num_taken_ += outbox_.size();
  return std::exchange(outbox_, {});
}

void http_channel::sent(size_t num_bytes) {
  const std::lock_guard lock(mutex_);
  num_taken_ -= num_bytes;
}

bool http_channel::is_ended() const {
  const std::lock_guard lock(mutex_);
  return phase_ == phase::ended;
}

bool http_channel::is_finished() const {
  const std::lock_guard lock(mutex_);
  return phase_ == phase::ended && outbox_.empty() && num_taken_ == 0;
}

bool http_channel::is_broken() const {
  const std::lock_guard lock(mutex_);
  return is_broken_;
}

bool http_channel::keeps_alive() const {
  const std::lock_guard lock(mutex_);
  return form_.keeps_alive;
}

void http_channel::close_afterwards() {
  const std::lock_guard lock(mutex_);
  form_.keeps_alive = false;
}

void http_channel::lose() {
  std::function<void()> told;
  {
    const std::lock_guard lock(mutex_);
    if (is_gone_) return;
    is_gone_ = true;
    outbox_ = {};
    num_taken_ = 0;
    told.swap(told_);
  }
  if (told) told();
}

http_exchange::http_exchange(std::shared_ptr<http_channel> channel)
    : channel_(std::move(channel)) {}

http_exchange::~http_exchange() {
  channel_->abandon();
}

void http_exchange::respond(int status, const http_headers& headers, std::string_view body) {
  channel_->respond(status, headers, body);
}

void http_exchange::start(int status, const http_headers& headers) {
  channel_->start(status, headers);
}

bool http_exchange::write(std::string_view bytes) {
  return channel_->write(bytes);
}

void http_exchange::end() {
  channel_->end();
}

size_t http_exchange::buffered_bytes() const {
  return channel_->buffered_bytes();
}

void http_exchange::on_gone(std::function<void()> told) {
  channel_->on_gone(std::move(told));
}

}  // namespace llmos
