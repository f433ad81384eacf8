#include "runtime/metrics/metrics_registry.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

constexpr size_t max_label_bytes = 128;
constexpr const char* overflow_value = "other";

bool is_name(std::string_view x) {
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !x.empty() && is_lower(x.front()) &&
         std::ranges::all_of(x, [&](char c) { return is_lower(c) || is_digit(c) || c == '_'; });
}

bool fits_kind(metric_kind kind, std::string_view name) {
  if (kind == metric_kind::counter) return name.ends_with("_total");
  if (kind == metric_kind::histogram) return name.ends_with("_seconds");
  return !name.ends_with("_total");
}

bool is_overlong(const metric_labels& labels) {
  return std::ranges::any_of(labels,
                             [](const auto& x) { return x.second.size() > max_label_bytes; });
}

metric_labels overflow_labels(metric_labels labels) {
  for (auto& [key, value] : labels) value = overflow_value;
  return labels;
}

}  // namespace

void metrics_registry::declare(metric_kind kind, std::string name, std::string help) {
  LLMOS_CHECK(is_name(name) && fits_kind(kind, name));
  const bool is_new =
      families_.try_emplace(std::move(name), family{kind, std::move(help), {}}).second;
  LLMOS_CHECK(is_new);
}

void metrics_registry::add(std::string_view name, double by, const metric_labels& labels) {
  LLMOS_CHECK(by >= 0 && std::isfinite(by));
  series_of(metric_kind::counter, name, labels).value += by;
}

void metrics_registry::set(std::string_view name, double value, const metric_labels& labels) {
  LLMOS_CHECK(std::isfinite(value));
  series_of(metric_kind::gauge, name, labels).value = value;
}

void metrics_registry::observe(std::string_view name, double seconds, const metric_labels& labels) {
  series_of(metric_kind::histogram, name, labels).histogram.observe(seconds);
}

void metrics_registry::merge(std::string_view name, const latency_histogram& x,
                             const metric_labels& labels) {
  if (x.count() > 0) series_of(metric_kind::histogram, name, labels).histogram.merge(x);
}

metrics_snapshot metrics_registry::snapshot() const {
  metrics_snapshot out;
  for (const auto& [name, f] : families_) {
    metric_family& to = out.emplace_back(metric_family{name, f.help, f.kind, {}});
    for (const auto& [labels, series] : f.series) to.series.push_back(series);
  }
  return out;
}

const char* to_string(metric_kind x) {
  switch (x) {
    case metric_kind::counter: return "counter";
    case metric_kind::gauge: return "gauge";
    case metric_kind::histogram: return "histogram";
  }
  return "unknown";
}

double sum_of(const metrics_snapshot& all, std::string_view name, const metric_labels& labels) {
  double sum = 0;
  for (const metric_family& f : all) {
    if (f.name != name) continue;
    for (const metric_series& s : f.series) {
      const bool has_all =
          std::includes(s.labels.begin(), s.labels.end(), labels.begin(), labels.end());
      if (has_all) sum += s.value;
    }
  }
  return sum;
}

metric_series& metrics_registry::series_of(metric_kind kind, std::string_view name,
                                           const metric_labels& labels) {
  const auto f = families_.find(name);
  LLMOS_CHECK(f != families_.end() && f->second.kind == kind);
  auto& series = f->second.series;
  if (const auto known = series.find(labels); known != series.end()) return known->second;
  for (const auto& [key, value] : labels) LLMOS_CHECK(is_name(key));
  const bool is_full = series.size() >= max_series_ && !labels.empty();
  const metric_labels& kept = is_full || is_overlong(labels) ? overflow_labels(labels) : labels;
  return series.try_emplace(kept, metric_series{kept, 0, {}}).first->second;
}

}  // namespace llmos
