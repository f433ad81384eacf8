#include "runtime/metrics/event_log.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace llmos;

namespace {

constexpr uint64_t name = 77;

event_log filled(uint64_t num_events, size_t max_events = 4) {
  event_log log{name, max_events};
  for (uint64_t i = 1; i <= num_events; ++i) {
    log.add({node_event_kind::configured, "", std::to_string(i)}, {});
  }
  return log;
}

/// "2 3 4 (1 lost)": the texts of the events behind a position.
std::string behind(const event_log& log, log_position from) {
  const auto page = log.behind(from);
  std::string out;
  for (const auto& e : page.events) {
    CHECK(std::to_string(e.number) == e.event.text);
    out += (out.empty() ? "" : " ") + e.event.text;
  }
  return page.num_lost == 0 ? out : out + " (" + std::to_string(page.num_lost) + " lost)";
}

}  // namespace

TEST_SUITE("runtime.metrics.event_log") {
  TEST_CASE("a reader gets what is behind its position, and how much of it is gone") {
    struct row {
      uint64_t num_events;
      log_position from;
      const char* events;
    };
    const row table[] = {
        {0, {0, 0}, ""},
        {3, {0, 0}, "1 2 3"},
        {3, {name, 2}, "3"},
        {3, {name, 3}, ""},
        {3, {0, ~uint64_t{0}}, ""},  // from now on
        {3, {name, 9}, ""},
        {6, {name, 2}, "3 4 5 6"},
        {6, {name, 1}, "3 4 5 6 (1 lost)"},
        {6, {0, 0}, "3 4 5 6 (2 lost)"},
        {6, {name, 5}, "6"},
        {3, {name + 1, 2}, "1 2 3"},  // of a log that is not there any more
    };
    for (const row& r : table) {
      CAPTURE(r.num_events);
      CAPTURE(r.from.log);
      CAPTURE(r.from.number);
      CHECK(behind(filled(r.num_events), r.from) == r.events);
    }
  }

  TEST_CASE("a reader that goes on from each page's end reads every event once") {
    event_log log{name, 4};
    log_position at;
    std::string read;
    for (uint64_t i = 1; i <= 10; ++i) {
      log.add({node_event_kind::configured, "", std::to_string(i)}, {});
      if (i % 3 != 0) continue;
      const auto page = log.behind(at);
      CHECK(page.num_lost == 0);
      for (const auto& e : page.events) read += e.event.text + " ";
      at = page.end;
    }
    CHECK(read == "1 2 3 4 5 6 7 8 9 ");
    CHECK(behind(log, at) == "10");
  }

  TEST_CASE("kinds have names") {
    CHECK(std::string(to_string(node_event_kind::engine_started)) == "engine_started");
    CHECK(std::string(to_string(node_event_kind::draining)) == "draining");
    CHECK(std::string(to_string(node_event_kind::count_)) == "unknown");
  }
}
