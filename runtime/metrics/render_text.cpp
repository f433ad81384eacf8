#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/metrics/metrics_registry.hpp"

namespace llmos {

namespace {

using table = std::vector<std::vector<std::string>>;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, args...);
  return buffer;
}

std::string number(double x) {
  const bool is_whole = std::trunc(x) == x && std::abs(x) < 1e15;
  return is_whole ? format("%.0f", x) : format("%.4g", x);
}

std::string duration(double seconds) {
  if (seconds < 1e-3) return format("%.0f us", seconds * 1e6);
  if (seconds < 1) return format("%.1f ms", seconds * 1e3);
  return format("%.2f s", seconds);
}

/// Label values may come from outside: control bytes must not reach a terminal.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    out += byte < 0x20 || byte == 0x7f ? format("\\x%02x", unsigned{byte}) : std::string(1, c);
  }
  return out + "\"";
}

std::string title(const metric_family& family, const metric_labels& labels) {
  std::string out = family.name;
  const char* separator = "{";
  for (const auto& [key, value] : labels) {
    out += separator + key + "=" + quoted(value);
    separator = ", ";
  }
  return labels.empty() ? out : out + "}";
}

/// The first column to the left, the others to the right, two spaces between.
std::string aligned(const table& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    out += row[0] + std::string(widths[0] - row[0].size(), ' ');
    for (size_t i = 1; i < row.size(); ++i) {
      out += std::string(2 + widths[i] - row[i].size(), ' ') + row[i];
    }
    out += '\n';
  }
  return out;
}

}  // namespace

std::string render_text(const metrics_snapshot& all) {
  table values{{"METRIC", "VALUE"}};
  table latencies{{"LATENCY", "COUNT", "MEAN", "P50", "P90", "P99", "MAX"}};
  for (const metric_family& f : all) {
    for (const metric_series& s : f.series) {
      const latency_histogram& h = s.histogram;
      if (f.kind != metric_kind::histogram) {
        values.push_back({title(f, s.labels), number(s.value)});
      } else {
        latencies.push_back({title(f, s.labels), std::to_string(h.count()), duration(h.mean()),
                             duration(h.quantile(0.5)), duration(h.quantile(0.9)),
                             duration(h.quantile(0.99)), duration(h.max())});
      }
    }
  }
  std::string out;
  if (values.size() > 1) out += aligned(values);
  if (values.size() > 1 && latencies.size() > 1) out += '\n';
  if (latencies.size() > 1) out += aligned(latencies);
  return out;
}

}  // namespace llmos
