#include "runtime/metrics/event_log.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace llmos {

namespace {
constexpr const char* kinds[] = {"engine_started", "engine_restarted", "engine_ended",
                                 "engine_fell",    "engine_failed",    "room_restarted",
                                 "configured",     "draining"};
}
static_assert(std::size(kinds) == static_cast<size_t>(node_event_kind::count_));

const char* to_string(node_event_kind x) {
  const auto i = static_cast<size_t>(x);
  return i < std::size(kinds) ? kinds[i] : "unknown";
}

void event_log::add(node_event e, std::chrono::system_clock::time_point at) {
  events_.push_back({++last_, at, std::move(e)});
  if (events_.size() > max_events_) events_.pop_front();
}

event_page event_log::behind(const log_position& from) const {
  const bool is_of_this = from.log == 0 || from.log == name_;
  const uint64_t read = is_of_this ? std::min(from.number, last_) : 0;
  const uint64_t forgotten = last_ - events_.size();
  event_page out;
  out.end = {name_, last_};
  out.num_lost = forgotten - std::min(read, forgotten);
  const auto num_known = static_cast<std::ptrdiff_t>(std::max(read, forgotten) - forgotten);
  out.events.assign(events_.begin() + num_known, events_.end());
  return out;
}

}  // namespace llmos
