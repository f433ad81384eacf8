#include "runtime/remote/intake.hpp"

#include <utility>

namespace llmos {

size_t intake::batch::of(uint64_t sender) const {
  const auto it = bytes.find(sender);
  return it == bytes.end() ? 0 : it->second;
}

void intake::restart(std::function<void(uint64_t)> send_mark) {
  const std::lock_guard lock(mutex_);
  send_ = std::move(send_mark);
  marked_ = {};
  unmarked_ = {};
  ++mark_;
  is_on_its_way_ = false;
}

bool intake::take(uint64_t sender, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const size_t of_sender = marked_.of(sender) + unmarked_.of(sender);
  const size_t of_all = marked_.total + unmarked_.total;
  // One message may always wait: else a limit below its size would hold it off for ever.
  if (of_sender > 0 && of_sender + bytes > limits_.max_bytes_each) return false;
  if (of_all > 0 && of_all + bytes > limits_.max_bytes) return false;
  unmarked_.bytes[sender] += bytes;
  unmarked_.total += bytes;
  if (!is_on_its_way_) send_mark();
  return true;
}

void intake::handled(uint64_t mark) {
  const std::lock_guard lock(mutex_);
  if (mark != mark_ || !is_on_its_way_) return;
  is_on_its_way_ = false;
  marked_ = {};
  if (unmarked_.total > 0) send_mark();
}

void intake::send_mark() {
  marked_ = std::exchange(unmarked_, {});
  is_on_its_way_ = true;
  if (send_) send_(++mark_);
}

size_t intake::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  return marked_.total + unmarked_.total;
}

}  // namespace llmos
