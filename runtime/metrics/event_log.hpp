#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace llmos {

/// What happens to a node as a whole.
enum class node_event_kind : uint8_t {
  engine_started,    ///< Of a model; the text says on what.
  engine_restarted,  ///< After it fell.
  engine_ended,      ///< Its model was unloaded.
  engine_fell,       ///< The text says why; it is started again.
  engine_failed,     ///< For good.
  room_restarted,    ///< The text says why it fell.
  configured,        ///< The configuration was read again.
  draining,          ///< No new work from now on.
  count_,
};
/// "engine_started"
const char* to_string(node_event_kind x);

struct node_event {
  node_event_kind kind = node_event_kind::engine_started;
  std::string subject;  ///< A model's name, or a room's.
  std::string text;     ///< For people.
};

/// How far a reader is. Numbers begin with 1, and again in a log of another name.
struct log_position {
  uint64_t log = 0;     ///< 0: whichever log there is.
  uint64_t number = 0;  ///< Of the last event that was read; beyond the last one: that.
};

struct logged_event {
  uint64_t number = 0;
  std::chrono::system_clock::time_point at;
  node_event event;
};

/// Events behind a position.
struct event_page {
  log_position end;       ///< Where to go on.
  uint64_t num_lost = 0;  ///< Events behind the position that the log has forgotten.
  std::vector<logged_event> events;
};

/// The last events, for readers who come back with a position: none is lost or doubled among those
/// that are kept, and how many are not is told. A reader of another log gets all of this one.
class event_log {
public:
  /// `name`: drawn at random, and not 0.
  explicit event_log(uint64_t name, size_t max_events = 256)
      : name_(name), max_events_(max_events) {}

  void add(node_event e, std::chrono::system_clock::time_point at);
  event_page behind(const log_position& from) const;

private:
  uint64_t name_;
  size_t max_events_;
  uint64_t last_ = 0;
  std::deque<logged_event> events_;
};

}  // namespace llmos
