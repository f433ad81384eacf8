#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

namespace llmos {

/// The events of one stream that its client has not acknowledged, numbered from 1. Those on the way
/// are no more bytes than a window; the rest waits.
///
///   acknowledged │ on the way │ waiting
///                num_acked    num_sent
template <class Event>
class outbox {
public:
  /// Adds an event of `bytes` behind the others; returns its number.
  uint64_t push(Event e, size_t bytes) {
    events_.push_back({std::move(e), bytes});
    held_bytes_ += bytes;
    return num_acked_ + events_.size();
  }

  /// The next event that waits, while fewer than `window_bytes` are on the way; nothing otherwise.
  /// It counts as sent.
  struct numbered {
    uint64_t number;
    const Event& event;
    size_t bytes;
  };
  std::optional<numbered> take_next(size_t window_bytes) {
    if (sent_bytes_ >= window_bytes || num_sent_ == events_.size()) return std::nullopt;
    const auto& next = events_[num_sent_++];
    sent_bytes_ += next.bytes;
    return numbered{num_acked_ + num_sent_, next.event, next.bytes};
  }

  /// All up to this number have arrived. False, and nothing changes, for one that was never sent.
  bool acknowledge(uint64_t number) {
    if (number > num_acked_ + num_sent_) return false;
    while (num_acked_ < number) {
      held_bytes_ -= events_.front().bytes;
      sent_bytes_ -= events_.front().bytes;
      events_.pop_front();
      --num_sent_;
      ++num_acked_;
    }
    return true;
  }

  /// The client came anew and has all up to this number; what is behind is to be sent again. False
  /// where some of that is gone.
  bool resume(uint64_t received) {
    if (received < num_acked_ || received > num_acked_ + events_.size()) return false;
    num_sent_ = events_.size();  // it may have got more than was known
    sent_bytes_ = held_bytes_;
    acknowledge(received);
    num_sent_ = 0;
    sent_bytes_ = 0;
    return true;
  }

  size_t held_bytes() const { return held_bytes_; }
  size_t sent_bytes() const { return sent_bytes_; }
  bool is_waiting() const { return num_sent_ < events_.size(); }
  bool is_empty() const { return events_.empty(); }

private:
  struct held {
    Event event;
    size_t bytes;
  };
  std::deque<held> events_;
  uint64_t num_acked_ = 0;
  size_t num_sent_ = 0;  ///< Of events_.
  size_t held_bytes_ = 0, sent_bytes_ = 0;
};

}  // namespace llmos
