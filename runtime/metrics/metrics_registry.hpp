#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/metrics/latency_histogram.hpp"

namespace llmos {

enum class metric_kind : uint8_t {
  counter,    ///< Only grows; named *_total.
  gauge,      ///< Goes up and down.
  histogram,  ///< Durations; named *_seconds.
};

/// "counter"
const char* to_string(metric_kind x);

/// {model: "smollm2", outcome: "stop"}. Keys are names, values any text.
using metric_labels = std::map<std::string, std::string>;

/// One labelled line of a metric.
struct metric_series {
  metric_labels labels;
  double value = 0;             ///< Of counters and gauges.
  latency_histogram histogram;  ///< Of histograms.
};

struct metric_family {
  std::string name;  ///< llmos_requests_total
  std::string help;  ///< One sentence for people.
  metric_kind kind = metric_kind::counter;
  std::vector<metric_series> series;  ///< Ordered by labels; empty before the first event.
};

/// All metrics at one moment, ordered by name.
using metrics_snapshot = std::vector<metric_family>;

/// Named counters, gauges and latency histograms as plain values: one owner, no locks, no clock.
/// Names and kinds are the program's own, so a wrong one is a bug and ends the program. Label
/// values may come from outside: a metric keeps at most `max_series` combinations, and further
/// ones, or values longer than 128 bytes, are counted together under the value "other".
class metrics_registry {
public:
  explicit metrics_registry(size_t max_series = 64) : max_series_(max_series) {}

  /// REQUIRES: the name is new and of its kind: [a-z][a-z0-9_]*, ending in "_total" for counters
  /// and in "_seconds" for histograms.
  void declare(metric_kind kind, std::string name, std::string help);

  /// Raises a counter. REQUIRES: a declared counter; by >= 0 and finite.
  void add(std::string_view name, double by = 1, const metric_labels& labels = {});
  /// Sets a gauge. REQUIRES: a declared gauge; a finite value.
  void set(std::string_view name, double value, const metric_labels& labels = {});
  /// Adds a duration to a histogram. REQUIRES: a declared histogram; seconds >= 0 and finite.
  void observe(std::string_view name, double seconds, const metric_labels& labels = {});

  /// Adds all durations of another histogram. REQUIRES: a declared histogram.
  void merge(std::string_view name, const latency_histogram& x, const metric_labels& labels = {});

  metrics_snapshot snapshot() const;

private:
  struct family {
    metric_kind kind;
    std::string help;
    std::map<metric_labels, metric_series> series;
  };

  metric_series& series_of(metric_kind kind, std::string_view name, const metric_labels& labels);

  size_t max_series_;
  std::map<std::string, family, std::less<>> families_;
};

/// The values of a metric's series that have all of these labels, added up; 0 without any.
double sum_of(const metrics_snapshot& all, std::string_view name, const metric_labels& labels);

/// The snapshot as two tables for people: counters and gauges, then latencies with count, mean,
/// quantiles and maximum. Metrics without events are left out.
std::string render_text(const metrics_snapshot& all);

}  // namespace llmos
