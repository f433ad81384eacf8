#include "actors/monitor/monitor.hpp"

#include <algorithm>
#include <memory>
#include <random>

namespace llmos {

namespace {

double seconds(uint64_t us) {
  return static_cast<double>(us) * 1e-6;
}

metric_labels labels_of(const engine_label& x) {
  return {{"model", x.model}, {"device", x.device}};
}

/// What a counter of an engine gained since the last report; an engine that started over counts
/// from zero again.
double gained(uint64_t now, uint64_t before) {
  return static_cast<double>(now >= before ? now - before : now);
}

constexpr std::chrono::seconds tick_period{1};
constexpr std::chrono::milliseconds max_wait{60000};
constexpr size_t max_watchers = 4096;

/// Another one than that of a monitor before.
uint64_t draw_log_name() {
  std::random_device source;
  return ((uint64_t{source()} << 32) | source()) | 1;
}

}  // namespace

monitor_state::monitor_state(monitor_actor::stateful_pointer<monitor_state> self)
    : self(self), events_(draw_log_name()) {
  using kind = metric_kind;
  metrics.declare(kind::counter, "llmos_requests_total",
                  "Ended generations by outcome; those without a model ended before they had one.");
  metrics.declare(kind::counter, "llmos_prompt_tokens_total",
                  "Prompt tokens of ended generations.");
  metrics.declare(kind::counter, "llmos_completion_tokens_total",
                  "New tokens of ended generations.");
  metrics.declare(kind::counter, "llmos_prefix_cache_hit_tokens_total",
                  "Prompt tokens that were not computed again.");
  metrics.declare(kind::counter, "llmos_steps_total", "Steps of the executor.");
  metrics.declare(kind::counter, "llmos_step_rows_total", "Token rows computed.");
  metrics.declare(kind::counter, "llmos_preemptions_total",
                  "Sequences that gave their blocks back and were computed again.");
  metrics.declare(kind::counter, "llmos_spec_decode_draft_tokens_total",
                  "Guessed tokens that steps verified.");
  metrics.declare(kind::counter, "llmos_spec_decode_accepted_tokens_total",
                  "Guessed tokens that came true.");
  metrics.declare(kind::counter, "llmos_requests_refused_total",
                  "Requests that the kernel did not take, by reason.");
  metrics.declare(kind::counter, "llmos_restarts_total",
                  "Rooms and engines that fell and were started again.");
  metrics.declare(kind::counter, "llmos_kv_evictions_total",
                  "Cached blocks that were given to other tokens.");
  metrics.declare(kind::counter, "llmos_kv_blocks_moved_total",
                  "Blocks moved between a device and the host.");
  metrics.declare(kind::gauge, "llmos_kv_blocks", "KV blocks of an engine by state.");
  metrics.declare(kind::gauge, "llmos_requests_waiting", "Sequences in the queue.");
  metrics.declare(kind::gauge, "llmos_requests_running", "Sequences that hold blocks.");
  metrics.declare(kind::histogram, "llmos_time_to_first_token_seconds",
                  "From admission to the first token.");
  metrics.declare(kind::histogram, "llmos_request_seconds", "From admission to the end.");
  metrics.declare(kind::histogram, "llmos_step_forward_seconds", "Forward pass of a step.");
  metrics.declare(kind::histogram, "llmos_step_sample_seconds", "Sampling of a step.");
  metrics.declare(kind::histogram, "llmos_inter_token_latency_seconds",
                  "From one token of a generation to its next.");
  metrics.declare(kind::histogram, "llmos_step_gap_seconds",
                  "Between two steps while work waited: the sum of the four parts.");
  metrics.declare(kind::histogram, "llmos_step_deliver_seconds",
                  "From a step's end until the scheduler heard of it.");
  metrics.declare(kind::histogram, "llmos_step_plan_seconds",
                  "From then until the next step was planned, waiting for blocks excepted.");
  metrics.declare(kind::histogram, "llmos_step_blocks_seconds", "Waiting for KV blocks.");
  metrics.declare(kind::histogram, "llmos_step_dispatch_seconds",
                  "From sending a step to its beginning.");
}

void monitor_state::step(const step_report& r) {
  const metric_labels engine = labels_of(r.engine);
  auto& before = last[engine];
  metrics.add("llmos_steps_total", 1, engine);
  metrics.add("llmos_step_rows_total", r.num_rows, engine);
  metrics.add("llmos_preemptions_total", gained(r.schedule.preemptions, before.preemptions),
              engine);
  metrics.add("llmos_spec_decode_draft_tokens_total",
              gained(r.schedule.draft_tokens, before.draft_tokens), engine);
  metrics.add("llmos_spec_decode_accepted_tokens_total",
              gained(r.schedule.accepted_tokens, before.accepted_tokens), engine);
  load({r.engine, r.schedule.waiting, r.schedule.running});
  metrics.observe("llmos_step_forward_seconds", seconds(r.forward_us), engine);
  metrics.observe("llmos_step_sample_seconds", seconds(r.sample_us), engine);
  if (r.gap) gap(*r.gap, engine);
  before = r.schedule;
}

void monitor_state::load(const load_report& r) {
  const metric_labels engine = labels_of(r.engine);
  metrics.set("llmos_requests_waiting", r.waiting, engine);
  metrics.set("llmos_requests_running", r.running, engine);
}

void monitor_state::gap(const step_gap& x, const metric_labels& engine) {
  const auto observe = [&](const char* name, double us) {
    metrics.observe(name, std::max(us, 0.0) * 1e-6, engine);
  };
  observe("llmos_step_gap_seconds", x.total_us());
  observe("llmos_step_deliver_seconds", x.deliver_us);
  observe("llmos_step_plan_seconds", x.plan_us);
  observe("llmos_step_blocks_seconds", x.blocks_us);
  observe("llmos_step_dispatch_seconds", x.dispatch_us);
}

void monitor_state::generation(const generation_report& r) {
  const metric_labels model{{"model", r.model}};
  metrics.add("llmos_requests_total", 1, {{"model", r.model}, {"outcome", r.outcome}});
  metrics.add("llmos_prompt_tokens_total", r.usage.prompt_tokens, model);
  metrics.add("llmos_completion_tokens_total", r.usage.completion_tokens, model);
  metrics.add("llmos_prefix_cache_hit_tokens_total", r.usage.cached_tokens, model);
  metrics.observe("llmos_request_seconds", seconds(r.usage.total_us), model);
  metrics.merge("llmos_inter_token_latency_seconds", r.usage.token_gaps, model);
  if (r.usage.completion_tokens == 0) return;
  metrics.observe("llmos_time_to_first_token_seconds", seconds(r.usage.first_token_us), model);
}

void monitor_state::set_blocks(const metric_labels& engine, const kv_stats& blocks) {
  const auto set = [&](const char* state, uint32_t n) {
    auto labels = engine;
    labels["state"] = state;
    metrics.set("llmos_kv_blocks", n, labels);
  };
  set("used", blocks.num_used);
  set("cached", blocks.num_cached);
  set("free", blocks.num_free);
  set("host", blocks.num_host_cached);
}

void monitor_state::memory(const memory_report& r) {
  const metric_labels engine = labels_of(r.engine);
  set_blocks(engine, r.blocks);
  auto& before = last_blocks[engine];
  metrics.add("llmos_kv_evictions_total", gained(r.blocks.evictions, before.evictions), engine);
  const auto moved = [&](const char* direction, double n) {
    auto labels = engine;
    labels["direction"] = direction;
    if (n > 0) metrics.add("llmos_kv_blocks_moved_total", n, labels);
  };
  moved("out", gained(r.blocks.moved_out, before.moved_out));
  moved("in", gained(r.blocks.moved_in, before.moved_in));
  before = r.blocks;
}

/// A gauge would keep its last value for ever.
void monitor_state::engine_ended(const engine_label& x) {
  const metric_labels engine = labels_of(x);
  load({x, 0, 0});
  set_blocks(engine, {});
}

void monitor_state::refused(const std::string& reason) {
  metrics.add("llmos_requests_refused_total", 1, {{"reason", reason}});
}

void monitor_state::happened(const node_event& e) {
  using kind = node_event_kind;
  if (e.kind == kind::room_restarted) {
    metrics.add("llmos_restarts_total", 1, {{"room", e.subject}});
  } else if (e.kind == kind::engine_restarted) {
    metrics.add("llmos_restarts_total", 1, {{"room", "engine"}});
  }
  events_.add(e, std::chrono::system_clock::now());
  for (auto& w : std::exchange(watchers_, {})) w.promise.deliver(events_.behind(w.from));
}

caf::result<event_page> monitor_state::watch(const log_position& from, uint32_t wait_ms) {
  auto page = events_.behind(from);
  const bool has_news = page.end.log != from.log || page.end.number != from.number;
  if (has_news || wait_ms == 0) return page;
  if (watchers_.empty()) self->delayed_send(self, tick_period, atom::tick_v);
  if (watchers_.size() == max_watchers) {  // it may ask again
    watchers_.front().promise.deliver(events_.behind(watchers_.front().from));
    watchers_.pop_front();
  }
  const auto wait = std::min(std::chrono::milliseconds(wait_ms), max_wait);
  watchers_.push_back(
      {from, self->clock().now() + wait, self->make_response_promise<event_page>()});
  return watchers_.back().promise;
}

/// Who has waited long enough gets an empty page.
void monitor_state::tick() {
  const auto now = self->clock().now();
  std::erase_if(watchers_, [&](watcher& w) {
    const bool is_late = w.until <= now;
    if (is_late) w.promise.deliver(events_.behind(w.from));
    return is_late;
  });
  if (!watchers_.empty()) self->delayed_send(self, tick_period, atom::tick_v);
}

metrics_ptr monitor_state::snapshot() const {
  return std::make_shared<const metrics_snapshot>(metrics.snapshot());
}

monitor_actor::behavior_type monitor(monitor_actor::stateful_pointer<monitor_state> self) {
  return {
      [self](atom::done, const generation_report& r) { self->state.generation(r); },
      [self](atom::update, const memory_report& r) { self->state.memory(r); },
      [self](atom::update, const load_report& r) { self->state.load(r); },
      [self](atom::failed, const std::string& reason) { self->state.refused(reason); },
      [self](atom::happened, const node_event& e) { self->state.happened(e); },
      [self](atom::watch, const log_position& from, uint32_t wait_ms) {
        return self->state.watch(from, wait_ms);
      },
      [self](atom::tick) { self->state.tick(); },
      [self](atom::ended, const engine_label& x) { self->state.engine_ended(x); },
      [self](atom::stats) { return self->state.snapshot(); },
      [self](atom::step, const step_report& r) { self->state.step(r); },
      [self](atom::status) {
        return "metrics=" + std::to_string(self->state.metrics.snapshot().size());
      },
  };
}

}  // namespace llmos
