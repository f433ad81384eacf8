#include "actors/gateway/remote/convert.hpp"

#include <nlohmann/json.hpp>

#include "runtime/base/json_text.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/config/model_path.hpp"

namespace llmos {

namespace {

constexpr size_t max_ticket_bytes = 128;

failure bad_field(const std::string& field, const std::string& text) {
  return {ec::invalid_argument, field + ": " + text, ""};
}

/// A JSON array, or null for an empty text.
result<nlohmann::ordered_json> to_array(const std::string& text, const std::string& field) {
  if (text.empty()) return nlohmann::ordered_json();
  auto parsed = parse_json(text, field);
  if (!parsed) return failure{ec::invalid_argument, parsed.error().text, parsed.error().hint};
  if (!parsed->is_array()) return bad_field(field, "a JSON array is expected");
  return parsed;
}

result<void> check_fields(const wire::request& x) {
  if (x.ticket.empty() || x.ticket.size() > max_ticket_bytes) {
    return bad_field("ticket", "1 to 128 bytes are expected");
  }
  if (x.prompt.empty() == x.messages.empty()) {
    return bad_field("prompt", "either a prompt or messages are expected");
  }
  if (first_invalid_utf8(x.prompt)) return bad_field("prompt", "it is not UTF-8");
  return {};
}

}  // namespace

result<request_ptr> to_request(const wire::request& x, const sampling_params& defaults,
                               const std::string& owner) {
  LLMOS_TRY_VOID(check_fields(x));
  LLMOS_TRY_VOID(check_model_name(x.model));
  auto out = std::make_shared<generate_request>();
  out->model = x.model;
  out->owner = owner;
  out->prompt = x.prompt;
  out->priority = x.priority;
  out->deadline_ms = x.deadline_ms;
  LLMOS_TRY(out->messages, to_array(x.messages, "messages"));
  LLMOS_TRY(out->tools, to_array(x.tools, "tools"));
  out->sampling = defaults;
  const auto keys = keys_of(out->sampling);
  for (const wire::setting& s : x.sampling) {
    const auto key = find_key(keys, s.name);
    if (!key)
      return failure{ec::invalid_argument, "sampling: " + key.error().text, key.error().hint};
    LLMOS_TRY_VOID(assign_text(*key, s.value));
  }
  return request_ptr{std::move(out)};
}

result<request_ptr> to_prompt(const wire::text_of& x, const std::string& owner) {
  wire::request whole;
  whole.ticket = "-";
  whole.model = x.model;
  whole.prompt = x.prompt;
  whole.messages = x.messages;
  return to_request(whole, sampling_params{}, owner);
}

result<std::string> decode_checked(const tokenizer& vocabulary, std::span<const token_id> ids) {
  for (const token_id id : ids) {
    if (id >= 0 && static_cast<uint32_t>(id) < vocabulary.size()) continue;
    return bad_field("ids", std::to_string(id) + " is not in the vocabulary of " +
                                std::to_string(vocabulary.size()));
  }
  return vocabulary.decode(ids, true);
}

wire::chunk to_wire(const text_chunk& x) {
  wire::chunk out{"", 0, x.text, {}};
  for (const sampled_token& t : x.tokens) {
    wire::token token{t.id, t.logprob, {}};
    for (const token_logprob& other : t.top) token.top.push_back({other.id, other.logprob});
    out.tokens.push_back(std::move(token));
  }
  return out;
}

wire::done to_wire(const generation_done& x) {
  const generation_usage& u = x.usage;
  return {"",
          0,
          to_string(x.reason),
          x.context_full,
          x.stop_string,
          x.model,
          x.seed,
          u.prompt_tokens,
          u.cached_tokens,
          u.completion_tokens,
          u.first_token_us,
          u.total_us};
}

wire::failed to_wire(const failure& x) {
  return {"", 0, to_string(x.code), x.text, x.hint};
}

wire::model to_wire(const model_status& x) {
  return {x.name, x.state, x.description, x.file_bytes, x.is_default};
}

wire::process to_wire(const process_info& x) {
  return {x.id.value, x.owner, x.model, x.state, x.prompt_tokens, x.generated_tokens, x.age_ms};
}

wire::metrics to_wire(const metrics_snapshot& x) {
  const auto bounds = latency_histogram::bounds();
  wire::metrics out{{bounds.begin(), bounds.end()}, {}};
  for (const metric_family& f : x) {
    wire::metric metric{f.name, f.help, to_string(f.kind), {}};
    for (const metric_series& s : f.series) {
      wire::series line;
      for (const auto& [name, value] : s.labels) line.labels.push_back({name, value});
      line.value = s.value;
      if (f.kind == metric_kind::histogram) {
        const latency_histogram& h = s.histogram;
        line.sum = h.sum();
        line.min = h.min();
        line.max = h.max();
        line.buckets.assign(h.buckets().begin(), h.buckets().end());
      }
      metric.all.push_back(std::move(line));
    }
    out.all.push_back(std::move(metric));
  }
  return out;
}

wire::events to_wire(const event_page& x) {
  using std::chrono::milliseconds;
  wire::events out{x.end.log, x.end.number, x.num_lost, {}};
  for (const logged_event& e : x.events) {
    const auto at = std::chrono::floor<milliseconds>(e.at.time_since_epoch()).count();
    out.all.push_back({e.number, at, to_string(e.event.kind), e.event.subject, e.event.text});
  }
  return out;
}

wire::status to_wire(const node_health& x, const metrics_snapshot& metrics) {
  const auto blocks = [&](const char* state) {
    return static_cast<uint64_t>(sum_of(metrics, "llmos_kv_blocks", {{"state", state}}));
  };
  wire::status out;
  out.state = x.is_draining ? "draining" : "ready";
  out.uptime_ms = static_cast<uint64_t>(x.uptime.count());
  out.processes = x.processes;
  out.max_processes = x.max_processes;
  out.waiting = static_cast<uint32_t>(sum_of(metrics, "llmos_requests_waiting", {}));
  out.running = static_cast<uint32_t>(sum_of(metrics, "llmos_requests_running", {}));
  out.used_blocks = blocks("used");
  out.all_blocks = out.used_blocks + blocks("cached") + blocks("free");
  return out;
}

size_t size_bytes(const wire::done& x) {
  return sizeof x + x.stop_string.size() + x.model.size();
}

size_t size_bytes(const wire::failed& x) {
  return sizeof x + x.text.size() + x.hint.size();
}

size_t size_bytes(const wire::chunk& x) {
  size_t out = sizeof x + x.text.size();
  for (const wire::token& t : x.tokens) out += sizeof t + t.top.size() * sizeof t.top[0];
  return out;
}

}  // namespace llmos
