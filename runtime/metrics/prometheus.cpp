#include "runtime/metrics/prometheus.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

/// Shortest text that reads back as the same double; whole ones as people write them.
std::string number(double x) {
  if (std::trunc(x) == x && std::abs(x) < 0x1p53) return std::to_string(static_cast<int64_t>(x));
  char buffer[32];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::general);
  LLMOS_CHECK(error == std::errc{});
  return {buffer, end};
}

/// Label values may come from outside and need not be UTF-8, which the format demands.
std::string escaped(std::string_view text, bool is_label) {
  std::string out;
  while (!text.empty()) {
    const size_t n = utf8_char_length(text);
    const char c = text[0];
    if (n == 0) {
      out += "\xef\xbf\xbd";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && is_label) {
      out += "\\\"";
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

/// {a="b",le="0.1"}; `le` is left out where it is empty.
std::string labels_text(const metric_labels& labels, const std::string& le = "") {
  std::string out;
  const auto add = [&](const std::string& name, const std::string& value) {
    out += out.empty() ? "{" : ",";
    out += name;
    out += "=\"";
    out += escaped(value, true);
    out += '"';
  };
  for (const auto& [name, value] : labels) add(name, value);
  if (!le.empty()) add("le", le);
  return out.empty() ? out : out + "}";
}

void add_line(std::string& out, const std::string& name, const std::string& labels,
              const std::string& value) {
  out += name;
  out += labels;
  out += ' ';
  out += value;
  out += '\n';
}

void add_histogram(std::string& out, const std::string& name, const metric_series& s) {
  const latency_histogram& h = s.histogram;
  const auto bounds = latency_histogram::bounds();
  uint64_t below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    below += h.buckets()[i];
    add_line(out, name + "_bucket", labels_text(s.labels, number(bounds[i])),
             std::to_string(below));
  }
  add_line(out, name + "_bucket", labels_text(s.labels, "+Inf"), std::to_string(h.count()));
  add_line(out, name + "_sum", labels_text(s.labels), number(h.sum()));
  add_line(out, name + "_count", labels_text(s.labels), std::to_string(h.count()));
}

void add_family(std::string& out, const metric_family& f) {
  out += "# HELP " + f.name + " " + escaped(f.help, false) + "\n";
  out += "# TYPE " + f.name + " " + to_string(f.kind) + "\n";
  for (const metric_series& s : f.series) {
    if (f.kind == metric_kind::histogram) {
      add_histogram(out, f.name, s);
    } else {
      add_line(out, f.name, labels_text(s.labels), number(s.value));
    }
  }
}

/// A metric under the name that vLLM gives it.
struct alias {
  const char* name;
  const char* source;
  const char* help;
};

constexpr alias aliases[] = {
    {"vllm:num_requests_running", "llmos_requests_running", "Requests that hold blocks."},
    {"vllm:num_requests_waiting", "llmos_requests_waiting", "Requests in the queue."},
    {"vllm:num_preemptions_total", "llmos_preemptions_total",
     "Requests that gave their blocks back and were computed again."},
    {"vllm:prompt_tokens_total", "llmos_prompt_tokens_total",
     "Prompt tokens of ended generations."},
    {"vllm:generation_tokens_total", "llmos_completion_tokens_total",
     "New tokens of ended generations."},
    {"vllm:prefix_cache_queries_total", "llmos_prompt_tokens_total",
     "Prompt tokens that were looked for in the prefix cache."},
    {"vllm:prefix_cache_hits_total", "llmos_prefix_cache_hit_tokens_total",
     "Prompt tokens that were found there."},
    {"vllm:time_to_first_token_seconds", "llmos_time_to_first_token_seconds",
     "From admission to the first token."},
    {"vllm:inter_token_latency_seconds", "llmos_inter_token_latency_seconds",
     "From one token of a generation to its next."},
    {"vllm:e2e_request_latency_seconds", "llmos_request_seconds", "From admission to the end."},
};

const metric_family* find(const metrics_snapshot& all, std::string_view name) {
  const auto it = std::find_if(all.begin(), all.end(),
                               [name](const metric_family& f) { return f.name == name; });
  return it == all.end() ? nullptr : &*it;
}

std::string label_of(const metric_labels& labels, const char* name) {
  const auto it = labels.find(name);
  return it == labels.end() ? "" : it->second;
}

/// Series by their new labels.
using series_map = std::map<metric_labels, metric_series>;

void add_to(series_map& out, const metric_labels& labels, const metric_series& s) {
  metric_series& sum = out[labels];
  sum.labels = labels;
  sum.value += s.value;
  sum.histogram.merge(s.histogram);
}

metric_labels model_label(const metric_series& s) {
  return {{"model_name", label_of(s.labels, "model")}};
}

metric_family make_family(const char* name, const char* help, metric_kind kind,
                          const series_map& series) {
  metric_family out{name, help, kind, {}};
  for (const auto& [labels, s] : series) out.series.push_back(s);
  return out;
}

metric_family renamed(const alias& a, const metric_family& source) {
  series_map sums;
  for (const metric_series& s : source.series) add_to(sums, model_label(s), s);
  return make_family(a.name, a.help, source.kind, sums);
}

/// Ended requests by reason, as far as they ended well: vLLM counts no others.
metric_family requests_that_ended_well(const metric_family& source) {
  series_map sums;
  for (const metric_series& s : source.series) {
    const std::string outcome = label_of(s.labels, "outcome");
    if (outcome != "stop" && outcome != "length" && outcome != "cancelled") continue;
    auto labels = model_label(s);
    labels["finished_reason"] = outcome == "cancelled" ? "abort" : outcome;
    add_to(sums, labels, s);
  }
  return make_family("vllm:request_success_total", "Ended requests by reason.",
                     metric_kind::counter, sums);
}

/// Blocks in use of all on the device. Cached ones can be had at any time, as in vLLM.
metric_family share_of_blocks(const metric_family& source) {
  series_map used, all;
  for (const metric_series& s : source.series) {
    const std::string state = label_of(s.labels, "state");
    if (state != "used" && state != "cached" && state != "free") continue;
    add_to(all, model_label(s), s);
    if (state == "used") add_to(used, model_label(s), s);
  }
  for (auto& [labels, s] : all) {
    const auto it = used.find(labels);
    s.value = it == used.end() || s.value == 0 ? 0 : it->second.value / s.value;
  }
  return make_family("vllm:kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.",
                     metric_kind::gauge, all);
}

}  // namespace

std::string render_prometheus(const metrics_snapshot& all) {
  std::string out;
  for (const metric_family& f : all) add_family(out, f);
  for (const alias& a : aliases) {
    if (const auto* source = find(all, a.source)) add_family(out, renamed(a, *source));
  }
  if (const auto* source = find(all, "llmos_requests_total")) {
    add_family(out, requests_that_ended_well(*source));
  }
  if (const auto* source = find(all, "llmos_kv_blocks")) add_family(out, share_of_blocks(*source));
  return out;
}

}  // namespace llmos
