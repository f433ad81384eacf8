#include "runtime/jobs/progress.hpp"

#include <algorithm>
#include <cstdio>

namespace llmos {

namespace {

constexpr uint64_t redraw_ms = 100;
constexpr uint64_t silence_ms = 10'000;
constexpr size_t bar_width = 24;
constexpr size_t line_width = 79;  // of the narrowest usual terminal, less the cursor
constexpr const char* clear_line = "\r\x1b[K";

std::string rate_text(double per_second, const char* what) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, per_second < 10 ? ", %.1f %s/s" : ", %.0f %s/s", per_second,
                what);
  return buffer;
}

size_t tenth_of(const job_counts& x) {
  return x.total == 0 ? 10 : x.ended() * 10 / x.total;
}

}  // namespace

std::string clock_text(uint64_t seconds) {
  char buffer[48];
  const auto minutes = seconds / 60;
  if (minutes < 60) {
    std::snprintf(buffer, sizeof buffer, "%llu:%02llu", static_cast<unsigned long long>(minutes),
                  static_cast<unsigned long long>(seconds % 60));
  } else {
    std::snprintf(buffer, sizeof buffer, "%llu:%02llu:%02llu",
                  static_cast<unsigned long long>(minutes / 60),
                  static_cast<unsigned long long>(minutes % 60),
                  static_cast<unsigned long long>(seconds % 60));
  }
  return buffer;
}

std::string progress_text(const job_counts& x, uint64_t elapsed_ms) {
  std::string out = std::to_string(x.earlier + x.done) + "/" + std::to_string(x.total) + " done";
  if (x.failed != 0) out += ", " + std::to_string(x.failed) + " failed";
  const size_t ended_now = x.done + x.failed;
  if (ended_now == 0 || elapsed_ms == 0) return out;
  const double seconds = static_cast<double>(elapsed_ms) / 1000;
  const double items_per_s = static_cast<double>(ended_now) / seconds;
  out += rate_text(items_per_s, "items");
  out += rate_text(static_cast<double>(x.completion_tokens) / seconds, "tokens");
  const size_t left = x.total - x.ended();
  if (left != 0) {
    out +=
        ", " + clock_text(static_cast<uint64_t>(static_cast<double>(left) / items_per_s)) + " left";
  }
  return out;
}

/// The bar gets what the text leaves of the line, and goes when that is too little.
std::string progress_meter::bar(const job_counts& x, uint64_t elapsed_ms) const {
  const auto text = progress_text(x, elapsed_ms);
  const size_t room = line_width - std::min(line_width, text.size() + 3);
  const size_t width = std::min(bar_width, room);
  if (width < 4) return clear_line + text.substr(0, line_width);
  const size_t filled = x.total == 0 ? width : x.ended() * width / x.total;
  std::string out = clear_line;
  out.append("[").append(filled, '#').append(width - filled, '.').append("] ");
  return out += text;
}

std::string progress_meter::update(const job_counts& x, uint64_t elapsed_ms) {
  if (is_terminal_) {
    if (is_drawn_ && elapsed_ms < last_ms_ + redraw_ms) return {};
    last_ms_ = elapsed_ms;
    is_drawn_ = true;
    return bar(x, elapsed_ms);
  }
  const size_t tenth = tenth_of(x);
  const bool is_due = tenth > last_tenth_ || elapsed_ms >= last_ms_ + silence_ms;
  if (!has_started_) {
    has_started_ = true;
    last_tenth_ = tenth;
    return {};
  }
  if (!is_due) return {};
  last_tenth_ = tenth;
  last_ms_ = elapsed_ms;
  return progress_text(x, elapsed_ms) + "\n";
}

std::string progress_meter::clear() {
  if (!is_drawn_) return {};
  is_drawn_ = false;
  return clear_line;
}

}  // namespace llmos
