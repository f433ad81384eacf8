#include "runtime/metrics/prometheus.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/utf8.hpp"

using namespace llmos;

namespace {

metrics_registry node_registry() {
  metrics_registry m;
  m.declare(metric_kind::counter, "llmos_requests_total", "Ended generations by outcome.");
  m.declare(metric_kind::counter, "llmos_prompt_tokens_total", "Prompt tokens.");
  m.declare(metric_kind::counter, "llmos_completion_tokens_total", "New tokens.");
  m.declare(metric_kind::counter, "llmos_prefix_cache_hit_tokens_total", "Cached tokens.");
  m.declare(metric_kind::counter, "llmos_preemptions_total", "Preemptions.");
  m.declare(metric_kind::gauge, "llmos_kv_blocks", "KV blocks by state.");
  m.declare(metric_kind::gauge, "llmos_requests_waiting", "Waiting.");
  m.declare(metric_kind::gauge, "llmos_requests_running", "Running.");
  m.declare(metric_kind::histogram, "llmos_time_to_first_token_seconds", "To first token.");
  m.declare(metric_kind::histogram, "llmos_inter_token_latency_seconds", "Between tokens.");
  m.declare(metric_kind::histogram, "llmos_request_seconds", "To the end.");
  return m;
}

/// A strict reader of the text format: what it does not know is an error.
class text_reader {
public:
  using labels = std::map<std::string, std::string>;
  std::map<std::string, std::map<labels, double>> samples;
  std::map<std::string, std::string> types, helps;

  explicit text_reader(const std::string& text) : rest_(text) {
    REQUIRE_FALSE(first_invalid_utf8(text));
    while (!rest_.empty()) {
      rest_.starts_with("#") ? comment() : sample();
    }
    for (const auto& [name, type] : types) {
      if (type == "histogram") check_histogram(name);
    }
  }

  double value(const std::string& name, const labels& l = {}) const {
    const auto it = samples.find(name);
    if (it == samples.end() || !it->second.contains(l)) FAIL("no sample " << name);
    return it->second.at(l);
  }

private:
  std::string word(const char* allowed) {
    const auto n = std::min(rest_.find_first_not_of(allowed), rest_.size());
    std::string out = rest_.substr(0, n);
    REQUIRE_FALSE(out.empty());
    rest_.erase(0, n);
    return out;
  }
  std::string name() {
    return word("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
  }
  void expect(const std::string& text) {
    REQUIRE_MESSAGE(rest_.starts_with(text), text << " expected at " << rest_.substr(0, 60));
    rest_.erase(0, text.size());
  }
  std::string line() {
    const auto n = rest_.find('\n');
    REQUIRE(n != std::string::npos);
    std::string out = rest_.substr(0, n);
    rest_.erase(0, n + 1);
    return out;
  }

  void comment() {
    expect("# ");
    const std::string kind = word("HELPTY");
    expect(" ");
    family_ = name();
    expect(" ");
    const std::string text = line();
    if (kind == "HELP") {
      REQUIRE(helps.emplace(family_, text).second);
      return;
    }
    REQUIRE(kind == "TYPE");
    REQUIRE(std::set<std::string>{"counter", "gauge", "histogram"}.contains(text));
    REQUIRE(types.emplace(family_, text).second);
  }

  void sample() {
    const std::string sample_name = name();
    // Samples stand together under their own family.
    const bool is_histogram = types.at(family_) == "histogram";
    const auto suffix = sample_name.substr(std::min(family_.size(), sample_name.size()));
    REQUIRE(sample_name.starts_with(family_));
    REQUIRE((is_histogram ? suffix == "_bucket" || suffix == "_sum" || suffix == "_count"
                          : suffix.empty()));
    labels l;
    if (rest_.starts_with("{")) {
      do {
        rest_.erase(0, 1);
        const std::string label = name();
        expect("=\"");
        REQUIRE(l.emplace(label, label_value()).second);
      } while (rest_.starts_with(","));
      expect("}");
    }
    expect(" ");
    const std::string text = line();
    char* end = nullptr;
    const double x = std::strtod(text.c_str(), &end);
    REQUIRE(end == text.c_str() + text.size());
    REQUIRE(samples[sample_name].emplace(l, x).second);
  }

  std::string label_value() {
    std::string out;
    for (;;) {
      const char c = rest_.at(0);
      rest_.erase(0, 1);
      if (c == '"') return out;
      REQUIRE(c != '\n');
      if (c != '\\') {
        out += c;
        continue;
      }
      const char e = rest_.at(0);
      rest_.erase(0, 1);
      REQUIRE((e == '\\' || e == '"' || e == 'n'));
      out += e == 'n' ? '\n' : e;
    }
  }

  /// Buckets grow to the count at +Inf.
  void check_histogram(const std::string& family) {
    if (!samples.contains(family + "_count")) return;
    for (const auto& [l, count] : samples.at(family + "_count")) {
      REQUIRE(samples.at(family + "_sum").contains(l));
      std::map<double, double> buckets;
      for (const auto& [bucket, x] : samples.at(family + "_bucket")) {
        labels with = bucket;
        const std::string le = with.at("le");
        with.erase("le");
        if (with == l) buckets[le == "+Inf" ? HUGE_VAL : std::stod(le)] = x;
      }
      double before = 0;
      for (const auto& [bound, x] : buckets) {
        REQUIRE(x >= before);
        before = x;
      }
      REQUIRE(buckets.size() == latency_histogram::num_bounds + 1);
      REQUIRE(buckets.at(HUGE_VAL) == count);
    }
  }

  std::string rest_;
  std::string family_;
};

}  // namespace

TEST_SUITE("runtime.metrics.prometheus") {
  TEST_CASE("a metric without events still has its help and type") {
    metrics_registry m;
    m.declare(metric_kind::counter, "llmos_steps_total", "Steps\\ of\nthe \"executor\".");
    CHECK(render_prometheus(m.snapshot()) ==
          "# HELP llmos_steps_total Steps\\\\ of\\nthe \"executor\".\n"
          "# TYPE llmos_steps_total counter\n");
    CHECK(render_prometheus({}).empty());
  }

  TEST_CASE("numbers read back as they were, labels as well, whatever they hold") {
    metrics_registry m;
    m.declare(metric_kind::counter, "llmos_steps_total", "Steps.");
    m.declare(metric_kind::gauge, "llmos_share", "A share.");
    m.add("llmos_steps_total", 1e15 + 1, {{"owner", "a\"b\\c\nd, e=\"f\"} 1"}, {"room", "ü"}});
    m.add("llmos_steps_total", 2, {{"owner", "x\xff"}, {"room", ""}});
    m.set("llmos_share", -0.1);
    const text_reader got{render_prometheus(m.snapshot())};
    CHECK(got.value("llmos_steps_total", {{"owner", "a\"b\\c\nd, e=\"f\"} 1"}, {"room", "ü"}}) ==
          1e15 + 1);
    CHECK(got.value("llmos_steps_total", {{"owner", "x\xef\xbf\xbd"}, {"room", ""}}) == 2);
    CHECK(got.value("llmos_share") == -0.1);
  }

  TEST_CASE("a histogram has cumulative buckets in seconds, a sum and a count") {
    metrics_registry m;
    m.declare(metric_kind::histogram, "llmos_wait_seconds", "Waits.");
    for (const double s : {0.00005, 0.25, 0.25, 3.0, 1000.0}) {
      m.observe("llmos_wait_seconds", s, {{"model", "m"}});
    }
    const std::string text = render_prometheus(m.snapshot());
    const text_reader got{text};
    CHECK(got.types.at("llmos_wait_seconds") == "histogram");
    CHECK(got.value("llmos_wait_seconds_bucket", {{"le", "0.0001"}, {"model", "m"}}) == 1);
    CHECK(got.value("llmos_wait_seconds_bucket", {{"le", "1"}, {"model", "m"}}) == 3);
    CHECK(got.value("llmos_wait_seconds_bucket", {{"le", "600"}, {"model", "m"}}) == 4);
    CHECK(got.value("llmos_wait_seconds_bucket", {{"le", "+Inf"}, {"model", "m"}}) == 5);
    CHECK(got.value("llmos_wait_seconds_count", {{"model", "m"}}) == 5);
    CHECK(got.value("llmos_wait_seconds_sum", {{"model", "m"}}) == doctest::Approx(1003.50005));
    CHECK(text.find("llmos_wait_seconds_bucket{model=\"m\",le=\"+Inf\"} 5\n") != text.npos);
  }

  TEST_CASE("dashboards find vLLM's names, summed over the devices of a model") {
    metrics_registry m = node_registry();
    const metric_labels cpu{{"model", "m"}, {"device", "cpu"}},
        gpu{{"model", "m"}, {"device", "gpu"}};
    const metric_labels model{{"model", "m"}};
    m.set("llmos_requests_running", 2, cpu);
    m.set("llmos_requests_running", 3, gpu);
    m.set("llmos_requests_waiting", 1, cpu);
    m.add("llmos_preemptions_total", 4, gpu);
    m.add("llmos_prompt_tokens_total", 100, model);
    m.add("llmos_completion_tokens_total", 50, model);
    m.add("llmos_prefix_cache_hit_tokens_total", 25, model);
    for (const auto& [outcome, n] : {std::pair{"stop", 7},
                                     {"length", 2},
                                     {"cancelled", 1},
                                     {"client_lost", 9},
                                     {"engine_failed", 9}}) {
      m.add("llmos_requests_total", n, {{"model", "m"}, {"outcome", outcome}});
    }
    for (const auto& [state, n] :
         {std::pair{"used", 10}, {"cached", 20}, {"free", 70}, {"host", 50}}) {
      m.set("llmos_kv_blocks", n, {{"model", "m"}, {"device", "cpu"}, {"state", state}});
    }
    m.observe("llmos_time_to_first_token_seconds", 0.5, model);
    m.observe("llmos_inter_token_latency_seconds", 0.01, model);
    m.observe("llmos_request_seconds", 2, {{"model", "other"}});

    const text_reader got{render_prometheus(m.snapshot())};
    const text_reader::labels name{{"model_name", "m"}};
    CHECK(got.value("vllm:num_requests_running", name) == 5);
    CHECK(got.value("vllm:num_requests_waiting", name) == 1);
    CHECK(got.value("vllm:num_preemptions_total", name) == 4);
    CHECK(got.value("vllm:prompt_tokens_total", name) == 100);
    CHECK(got.value("vllm:generation_tokens_total", name) == 50);
    CHECK(got.value("vllm:prefix_cache_queries_total", name) == 100);
    CHECK(got.value("vllm:prefix_cache_hits_total", name) == 25);
    CHECK(got.value("vllm:kv_cache_usage_perc", name) == doctest::Approx(0.1));
    CHECK(got.value("vllm:time_to_first_token_seconds_count", name) == 1);
    CHECK(got.value("vllm:inter_token_latency_seconds_sum", name) == doctest::Approx(0.01));
    CHECK(got.value("vllm:e2e_request_latency_seconds_count", {{"model_name", "other"}}) == 1);
    const auto& ended = got.samples.at("vllm:request_success_total");
    CHECK(ended.size() == 3);
    CHECK(ended.at({{"model_name", "m"}, {"finished_reason", "stop"}}) == 7);
    CHECK(ended.at({{"model_name", "m"}, {"finished_reason", "abort"}}) == 1);
    CHECK(got.types.at("vllm:request_success_total") == "counter");
  }

  TEST_CASE("an engine without blocks uses none of them") {
    metrics_registry m = node_registry();
    for (const char* state : {"used", "cached", "free"}) {
      m.set("llmos_kv_blocks", 0, {{"model", "m"}, {"state", state}});
    }
    const text_reader got{render_prometheus(m.snapshot())};
    CHECK(got.value("vllm:kv_cache_usage_perc", {{"model_name", "m"}}) == 0);
  }
}
