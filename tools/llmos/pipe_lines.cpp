#include "tools/llmos/pipe_lines.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "actors/gateway/shell/input.hpp"

namespace llmos {

std::optional<std::string> pipe_lines::take_line() {
  auto end = buffer_.find('\n');
  if (skipping_) {
    buffer_.erase(0, end == buffer_.npos ? end : end + 1);
    if (end == buffer_.npos) return std::nullopt;
    skipping_ = false;
    end = buffer_.find('\n');
  }
  if (end == buffer_.npos) {
    skipping_ = buffer_.size() > max_input_bytes;
    if (!skipping_ && (!ended_ || buffer_.empty())) return std::nullopt;
  }
  auto line = buffer_.substr(0, end);
  buffer_.erase(0, end == buffer_.npos ? end : end + 1);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

/// Waits for more bytes; an event when something else came.
std::optional<line_event> pipe_lines::fill() {
  using kind = line_event::kind;
  if (const int signal = signals_.wait_readable(fd_); signal > 0) {
    return line_event{signal == SIGINT ? kind::interrupted : kind::signal, "", signal};
  }
  char bytes[1 << 16];
  const auto n = ::read(fd_, bytes, sizeof bytes);
  if (n < 0 && errno != EINTR && errno != EAGAIN) {
    const auto what = std::generic_category().message(errno);
    return line_event{.what = kind::failed,
                      .why = {ec::io_error, "cannot read the input: " + what,
                              "check where it "
                              "comes from"}};
  }
  ended_ = n == 0;
  if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
  return std::nullopt;
}

line_event pipe_lines::read(bool) {
  for (;;) {
    if (auto line = take_line()) return {line_event::kind::line, *std::move(line)};
    if (ended_) return {};
    if (auto event = fill()) return *std::move(event);
  }
}

}  // namespace llmos
