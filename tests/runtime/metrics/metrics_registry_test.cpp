#include "runtime/metrics/metrics_registry.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

metrics_registry sample_registry(size_t max_series = 64) {
  metrics_registry m{max_series};
  m.declare(metric_kind::counter, "llmos_requests_total", "Requests by outcome.");
  m.declare(metric_kind::gauge, "llmos_kv_blocks_used", "KV blocks in use.");
  m.declare(metric_kind::histogram, "llmos_time_to_first_token_seconds", "Admission to token.");
  return m;
}

const metric_family& family(const metrics_snapshot& all, const std::string& name) {
  for (const metric_family& f : all) {
    if (f.name == name) return f;
  }
  FAIL("no family " << name);
  return all.front();
}

}  // namespace

TEST_SUITE("runtime.metrics.metrics_registry") {
  TEST_CASE("a snapshot holds every metric in order of name and its series in order of labels") {
    metrics_registry m = sample_registry();
    m.add("llmos_requests_total", 2, {{"outcome", "stop"}});
    m.add("llmos_requests_total", 1, {{"outcome", "length"}});
    m.add("llmos_requests_total", 3, {{"outcome", "stop"}});
    m.set("llmos_kv_blocks_used", 7);
    m.set("llmos_kv_blocks_used", 4);
    m.observe("llmos_time_to_first_token_seconds", 0.25);

    const metrics_snapshot all = m.snapshot();
    REQUIRE(all.size() == 3);
    CHECK(all[0].name == "llmos_kv_blocks_used");
    CHECK(all[1].name == "llmos_requests_total");
    CHECK(all[2].name == "llmos_time_to_first_token_seconds");
    CHECK(all[0].series.at(0).value == 4);
    REQUIRE(all[1].series.size() == 2);
    CHECK(all[1].series[0].labels == metric_labels{{"outcome", "length"}});
    CHECK(all[1].series[0].value == 1);
    CHECK(all[1].series[1].value == 5);
    CHECK(all[1].help == "Requests by outcome.");
    CHECK(all[2].series.at(0).histogram.count() == 1);
  }

  TEST_CASE("a sum is over all series that have the labels") {
    metrics_registry r;
    r.declare(metric_kind::gauge, "blocks", "");
    r.set("blocks", 3, {{"model", "a"}, {"state", "used"}});
    r.set("blocks", 4, {{"model", "b"}, {"state", "used"}});
    r.set("blocks", 50, {{"model", "b"}, {"state", "free"}});
    const auto all = r.snapshot();
    CHECK(sum_of(all, "blocks", {}) == 57);
    CHECK(sum_of(all, "blocks", {{"state", "used"}}) == 7);
    CHECK(sum_of(all, "blocks", {{"state", "used"}, {"model", "b"}}) == 4);
    CHECK(sum_of(all, "blocks", {{"state", "lost"}}) == 0);
    CHECK(sum_of(all, "others", {}) == 0);
  }

  TEST_CASE("a snapshot does not change with later events") {
    metrics_registry m = sample_registry();
    m.add("llmos_requests_total");
    const metrics_snapshot before = m.snapshot();
    m.add("llmos_requests_total");
    CHECK(family(before, "llmos_requests_total").series.at(0).value == 1);
  }

  TEST_CASE("a whole histogram is added at once, an empty one leaves no trace") {
    metrics_registry metrics;
    metrics.declare(metric_kind::histogram, "wait_seconds", "Waits.");
    metrics.observe("wait_seconds", 1);
    latency_histogram more;
    metrics.merge("wait_seconds", more, {{"model", "a"}});
    more.observe(2);
    more.observe(3);
    metrics.merge("wait_seconds", more);
    const auto all = metrics.snapshot();
    REQUIRE(all[0].series.size() == 1);
    CHECK(all[0].series[0].histogram.count() == 3);
    CHECK(all[0].series[0].histogram.max() == 3);
  }

  TEST_CASE("beyond the cap new label values are counted together as other, known ones go on") {
    metrics_registry m = sample_registry(3);
    for (int i = 0; i < 100; ++i) {
      m.add("llmos_requests_total", 1, {{"owner", "user" + std::to_string(i)}});
    }
    m.add("llmos_requests_total", 1, {{"owner", "user1"}});
    const auto f = family(m.snapshot(), "llmos_requests_total");
    REQUIRE(f.series.size() == 4);
    CHECK(f.series[0].labels.at("owner") == "other");
    CHECK(f.series[0].value == 97);
    CHECK(f.series[2].labels.at("owner") == "user1");
    CHECK(f.series[2].value == 2);
  }

  TEST_CASE("a label value too long to keep is counted as other") {
    metrics_registry m = sample_registry();
    m.add("llmos_requests_total", 1, {{"owner", std::string(128, 'x')}});
    m.add("llmos_requests_total", 1, {{"owner", std::string(129, 'x')}});
    const auto f = family(m.snapshot(), "llmos_requests_total");
    REQUIRE(f.series.size() == 2);
    CHECK(f.series[0].labels.at("owner") == "other");
  }

  TEST_CASE("the text is two aligned tables, numbers and durations as people read them") {
    metrics_registry m = sample_registry();
    m.add("llmos_requests_total", 12, {{"model", "smollm2"}, {"outcome", "stop"}});
    m.set("llmos_kv_blocks_used", 0.125);
    for (double s : {0.0002, 0.0002, 0.05, 12.5}) m.observe("llmos_time_to_first_token_seconds", s);
    CHECK(render_text(m.snapshot()) ==
          "METRIC                                                 VALUE\n"
          "llmos_kv_blocks_used                                   0.125\n"
          "llmos_requests_total{model=\"smollm2\", outcome=\"stop\"}     12\n"
          "\n"
          "LATENCY                            COUNT    MEAN     P50      P90      P99      MAX\n"
          "llmos_time_to_first_token_seconds      4  3.14 s  237 us  12.00 s  12.50 s  12.50 s\n");
  }

  TEST_CASE("what has no events is not shown, and label values cannot steer a terminal") {
    metrics_registry m = sample_registry();
    CHECK(render_text(m.snapshot()).empty());
    m.add("llmos_requests_total", 1, {{"owner", "a\"b\\c\x1b[2J\n"}});
    CHECK(render_text(m.snapshot()) ==
          "METRIC                                            VALUE\n"
          "llmos_requests_total{owner=\"a\\\"b\\\\c\\x1b[2J\\x0a\"}      1\n");
  }
}
