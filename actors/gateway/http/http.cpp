#include "actors/gateway/http/http.hpp"

#include <algorithm>
#include <caf/send.hpp>
#include <chrono>
#include <iterator>
#include <random>
#include <utility>

#include "actors/error.hpp"
#include "actors/gateway/await_kernel.hpp"
#include "actors/timed_request.hpp"
#include "runtime/config/model_path.hpp"
#include "runtime/metrics/prometheus.hpp"
#include "runtime/openai/models.hpp"

namespace llmos {

namespace {

using openai::api_error;

constexpr std::chrono::seconds answer_timeout{30};
constexpr std::chrono::minutes load_timeout{30};
constexpr std::string_view json_type = "application/json";

int64_t seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

uint64_t draw() {
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

http_headers headers_of(std::string_view type) {
  return {{"content-type", std::string(type)}};
}

void respond(const http_call_ptr& call, std::string_view body, std::string_view type = json_type) {
  call->exchange->respond(200, headers_of(type), body);
}

/// What an error's answer says beside its body.
http_headers more_headers_of(const api_error& why) {
  http_headers out;
  if (why.retry_after_s > 0) out.emplace_back("retry-after", std::to_string(why.retry_after_s));
  if (why.status == 401) out.emplace_back("www-authenticate", "Bearer");
  return out;
}

void respond(const http_call_ptr& call, const api_error& why, http_headers more = {}) {
  auto headers = headers_of(json_type);
  std::move(more.begin(), more.end(), std::back_inserter(headers));
  for (auto& x : more_headers_of(why)) headers.push_back(std::move(x));
  call->exchange->respond(why.status, headers, openai::render_error(why));
}

api_error error_of(int status, std::string code, std::string message) {
  api_error out;
  out.status = status;
  out.code = std::move(code);
  out.message = std::move(message);
  return out;
}

api_error no_such_route(const http_request& r) {
  return error_of(404, "not_found", "there is no " + r.method + " " + r.path.substr(0, 200));
}

/// Answers where it is no name.
bool check_name(const http_call_ptr& call, const std::string& model) {
  const auto fine = check_model_name(model);
  if (!fine) respond(call, openai::to_api_error(fine.error()));
  return fine.ok();
}

openai::token_bytes bytes_by(const model_view& model) {
  return [vocabulary = model.loaded->vocabulary](token_id id) {
    std::string out;
    if (id >= 0 && static_cast<uint32_t>(id) < vocabulary->size()) {
      vocabulary->append_piece(id, out, true);
    }
    return out;
  };
}

/// What stands behind a prefix of the path, decoded.
std::optional<std::string> behind(const http_request& r, std::string_view prefix) {
  if (!r.path.starts_with(prefix) || r.path.size() == prefix.size()) return std::nullopt;
  return percent_decode(std::string_view(r.path).substr(prefix.size()));
}

}  // namespace

void http_state::start(http_args args) {
  args_ = std::move(args);
  configure(args_.config);
  self->set_down_handler([this](const caf::down_msg& d) { down(d); });
  await_kernel(self, args_.supervisor, kernel_);
}

void http_state::configure(const node_config& c) {
  args_.config = c;
  operators_ = {c.remote.operators.begin(), c.remote.operators.end()};
}

void http_state::down(const caf::down_msg& d) {
  if (d.source == kernel_.address()) await_kernel(self, args_.supervisor, kernel_);
}

caf::result<uint16_t> http_state::open() {
  const auto& h = args_.config.http;
  http_server_options o;
  o.address = h.address;
  o.port = static_cast<uint16_t>(h.port);
  o.max_body_bytes = h.max_body_bytes;
  o.max_connections = h.max_connections;
  o.read_timeout = std::chrono::milliseconds(h.read_timeout_ms);
  o.write_timeout = std::chrono::milliseconds(h.write_timeout_ms);
  if (args_.tls) o.tls = args_.tls->get();
  o.error_body = [](int status, const std::string& message) {
    const auto why = openai::refused_by_http(status, message);
    return http_error_body{std::string(json_type), openai::render_error(why), more_headers_of(why)};
  };
  // The room owns the server, so its handler holds no handle that keeps the room.
  const caf::actor_addr room = self->address();
  auto count = std::make_shared<uint64_t>(0);
  auto made = http_server::start(std::move(o), [room, count](http_request r, auto exchange) {
    const auto strong = caf::actor_cast<caf::strong_actor_ptr>(room);
    if (strong == nullptr) return;
    const auto to = caf::actor_cast<http_actor>(strong);
    auto call = std::make_shared<http_call>(http_call{++*count, std::move(r), exchange});
    exchange->on_gone([room, number = call->number] {
      if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(room)) {
        caf::anon_send(caf::actor_cast<http_actor>(alive), atom::cancel_v, number);
      }
    });
    caf::anon_send(to, atom::submit_v, http_call_ptr(std::move(call)));
  });
  if (!made) return to_error(made.error());
  server_ = std::move(*made);
  return server_->port();
}

caf::result<caf::ok_atom> http_state::drain() {
  if (server_ == nullptr) return caf::ok_atom_v;
  drain_promise_ = self->make_response_promise<caf::ok_atom>();
  server_->drain([room = self->address()] {
    if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(room)) {
      caf::anon_send(caf::actor_cast<http_actor>(alive), atom::ended_v);
    }
  });
  return drain_promise_;
}

void http_state::drained() {
  drain_promise_.deliver(caf::ok_atom_v);
}

// ---- requests --------------------------------------------------------------------------------

std::optional<http_state::caller> http_state::authenticate(const http_request& r) const {
  const auto given = r.header("authorization");
  const auto key = given ? bearer_token(*given) : std::nullopt;
  const auto owner = key ? args_.keys.owner_of(*key) : std::nullopt;
  if (!owner) return std::nullopt;
  return caller{*owner, operators_.count(*owner) != 0};
}

void http_state::take(const http_call_ptr& call) {
  const http_request& r = call->request;
  if (r.path == "/livez" && r.method == "GET") return respond(call, "ok\n", "text/plain");
  if (r.path == "/readyz" && r.method == "GET") return readiness(call);
  const auto who = authenticate(r);
  if (!who) {
    return respond(call, error_of(401, "invalid_api_key",
                                  "an API key is needed: Authorization: Bearer sk-llmos-..."));
  }
  route(call, *who);
}

void http_state::route(const http_call_ptr& call, const caller& who) {
  const http_request& r = call->request;
  struct row {
    std::string_view method, path;
    std::function<void()> serve;
  };
  const row table[] = {
      {"GET", "/v1/models", [&] { list_models(call, std::nullopt); }},
      {"POST", "/v1/chat/completions", [&] { complete(call, who, openai::endpoint::chat); }},
      {"POST", "/v1/completions", [&] { complete(call, who, openai::endpoint::completions); }},
      {"POST", "/tokenize", [&] { tokenize(call); }},
      {"POST", "/detokenize", [&] { detokenize(call); }},
      {"GET", "/metrics", [&] { metrics(call, who); }},
  };
  std::string allowed;
  for (const row& x : table) {
    if (x.path != r.path) continue;
    if (x.method == r.method) return x.serve();
    allowed = x.method;
  }
  if (const auto model = behind(r, "/v1/models/"); model && r.method == "GET") {
    return list_models(call, model);
  }
  if (const auto name = behind(r, "/v1/requests/"); name && r.method == "DELETE") {
    return cancel_named(call, who, *name);
  }
  if (allowed.empty()) return respond(call, no_such_route(r));
  respond(call, error_of(405, "method_not_allowed", r.path + " does not take " + r.method),
          {{"allow", allowed}});
}

/// Asks the kernel and uses the answer; the client is told what goes wrong.
template <class Answer, class Use, class... Ts>
void http_state::ask_kernel(const http_call_ptr& call, const Use& use, const Ts&... what) {
  timed_request(self, kernel_, load_timeout, what...)
      .then([use](const Answer& x) { use(x); },
            [call](const caf::error& e) { respond(call, openai::to_api_error(to_failure(e))); });
}

void http_state::list_models(const http_call_ptr& call, const std::optional<std::string>& only) {
  ask_kernel<model_list>(
      call,
      [call, only](const model_list& all) {
        if (!only) return respond(call, openai::render_models(all, seconds_since_1970()));
        const auto one = openai::render_model(all, *only, seconds_since_1970());
        return one ? respond(call, *one) : respond(call, one.error());
      },
      atom::list_v);
}

void http_state::metrics(const http_call_ptr& call, const caller& who) {
  if (!who.is_operator) {
    return respond(call, error_of(403, "forbidden",
                                  who.owner + " may not read metrics: remote.operators says who"));
  }
  ask_kernel<metrics_ptr>(
      call,
      [call](const metrics_ptr& m) {
        respond(call, render_prometheus(*m), prometheus_content_type);
      },
      atom::stats_v);
}

/// Ready is a node whose kernel takes requests.
void http_state::readiness(const http_call_ptr& call) {
  ask_kernel<node_health>(
      call,
      [call](const node_health& health) {
        if (health.is_draining) {
          return respond(call, openai::to_api_error({ec::shutting_down, "the node drains", ""}));
        }
        respond(call, "ok\n", "text/plain");
      },
      atom::health_v);
}

void http_state::tokenize(const http_call_ptr& call) {
  auto parsed = openai::parse_tokenize_request(call->request.body);
  if (!parsed) return respond(call, parsed.error());
  if (!check_name(call, parsed->model)) return;
  auto request = std::make_shared<generate_request>();
  request->model = parsed->model;
  request->prompt = parsed->prompt;
  request->messages = parsed->messages;
  request->tools = parsed->tools;
  const bool keeps_bos = parsed->add_special_tokens || !parsed->messages.is_null();
  ask_kernel<model_view>(
      call,
      [this, call, request, keeps_bos](const model_view& model) {
        ask_kernel<encoded_ptr>(
            call,
            [call, model, keeps_bos](const encoded_ptr& ids) {
              std::span<const token_id> all = *ids;
              const auto bos = model.loaded->vocabulary->bos();
              if (!keeps_bos && !all.empty() && bos == all[0]) all = all.subspan(1);
              respond(call, openai::render_tokens(all, model.context));
            },
            atom::encode_v, request_ptr(request));
      },
      atom::open_v, request->model);
}

void http_state::detokenize(const http_call_ptr& call) {
  auto parsed = openai::parse_detokenize_request(call->request.body);
  if (!parsed) return respond(call, parsed.error());
  if (!check_name(call, parsed->model)) return;
  ask_kernel<model_view>(
      call,
      [call, tokens = parsed->tokens](const model_view& model) {
        const auto& vocabulary = *model.loaded->vocabulary;
        for (const token_id id : tokens) {
          if (static_cast<uint32_t>(id) < vocabulary.size()) continue;
          return respond(
              call, openai::invalid("tokens", std::to_string(id) + " is not in the vocabulary of " +
                                                  std::to_string(vocabulary.size())));
        }
        respond(call, openai::render_prompt(vocabulary.decode(tokens, true)));
      },
      atom::open_v, parsed->model);
}

// ---- completions -----------------------------------------------------------------------------

void http_state::complete(const http_call_ptr& call, const caller& who, openai::endpoint where) {
  openai::parse_options limits;
  limits.defaults = args_.config.sampling;
  limits.max_choices = args_.config.http.max_choices;
  auto parsed = openai::parse_completion_request(where, call->request.body, limits);
  if (!parsed) return respond(call, parsed.error());
  if (!check_name(call, parsed->model)) return;
  if (parsed->priority() < 0 && !who.is_operator) {
    return respond(call, error_of(403, "forbidden",
                                  who.owner + " may not ask for a priority below 0: "
                                              "remote.operators says who"));
  }
  auto& c = completions_[call->number];
  c.call = call;
  c.owner = who.owner;
  const std::string model = parsed->model;
  timed_request(self, kernel_, load_timeout, atom::open_v, model)
      .then([this, number = call->number, request = std::move(*parsed)](
                const model_view& found) { model_found(number, request, found); },
            [this, number = call->number](const caf::error& e) { fail(number, to_failure(e)); });
}

void http_state::model_found(uint64_t number, openai::completion_request request,
                             const model_view& model) {
  const auto it = completions_.find(number);
  if (it == completions_.end()) return;  // its client is gone
  if (const auto known = openai::check_token_ids(request, model.loaded->vocabulary->size());
      !known) {
    return fail(number, known.error());
  }
  openai::tool_parser_options tools;
  if (!request.tool_names.empty() && model.loaded->chat != nullptr) {
    tools.style = openai::tool_style_of(model.loaded->chat->source());
  }
  tools.names = request.tool_names;
  tools.seed = draw();
  if (!request.parallel_tool_calls) tools.max_calls = 1;
  openai::response_head head{request.where, openai::response_id(request.where, draw(), draw()),
                             seconds_since_1970(), model.model, request.include_usage};
  it->second.answer.emplace(std::move(request), std::move(head), tools, bytes_by(model));
  submit_choices(number, it->second);
}

void http_state::submit_choices(uint64_t number, completion& c) {
  const auto& request = c.answer->request();
  c.ids.resize(request.num_choices());
  for (size_t i = 0; i < c.ids.size(); ++i) {
    auto one = std::make_shared<generate_request>(request.choice(i));
    one->owner = c.owner;
    const uint64_t asked = book_.asked();
    timed_request(self, kernel_, answer_timeout, atom::submit_v, request_ptr(std::move(one)),
                  client_actor{self})
        .then(
            [this, asked, number, i](request_id id) {
              taken(asked, {number, i}, id);
            },
            [this, asked, number](const caf::error& e) {
              book_.refused(asked);
              fail(number, to_failure(e));
            });
  }
}

void http_state::taken(uint64_t asked, const place& at, request_id id) {
  auto early = book_.taken(asked, id, at);
  const auto it = completions_.find(at.call);
  if (it == completions_.end()) {
    book_.forget(id);
    return cancel_request(id);
  }
  it->second.ids[at.choice] = id;
  if (it->second.is_cancelled) cancel_request(id);
  for (event& e : early) add(id, std::move(e));
}

void http_state::add(request_id id, event e) {
  const auto* at = book_.find(id);
  if (at == nullptr) return book_.keep(id, std::move(e));
  const place where = *at;
  if (!std::holds_alternative<text_chunk>(e)) book_.forget(id);
  apply(where, std::move(e));
}

void http_state::apply(const place& at, event e) {
  auto& c = completions_.at(at.call);
  if (const auto* why = std::get_if<failure>(&e)) {
    c.ids[at.choice].reset();
    return fail(at.call, *why);
  }
  auto& answer = *c.answer;
  std::string out;
  if (!std::exchange(c.has_started, true) && answer.request().stream) {
    c.call->exchange->start(200, {{"content-type", "text/event-stream"},
                                  {"cache-control", "no-cache"},
                                  {"x-request-id", answer.head().id}});
    out = answer.begin();
  }
  if (const auto* chunk = std::get_if<text_chunk>(&e)) {
    out += answer.add(at.choice, *chunk);
    if (answer.is_full(at.choice)) cancel_request(*c.ids[at.choice]);
  } else {
    c.ids[at.choice].reset();
    out += answer.end(at.choice, std::get<generation_done>(e));
  }
  if (!out.empty()) c.call->exchange->write(out);  // one that is gone will be told of
  if (answer.has_ended()) finish(at.call, c);
}

void http_state::finish(uint64_t number, completion& c) {
  if (const auto did = c.answer->verdict(); !did) return fail(number, did.error());
  const auto& answer = *c.answer;
  if (answer.request().stream) {
    c.call->exchange->write(answer.finish());
    c.call->exchange->end();
  } else {
    auto headers = headers_of(json_type);
    headers.emplace_back("x-request-id", answer.head().id);
    c.call->exchange->respond(200, headers, answer.finish());
  }
  completions_.erase(number);
}

void http_state::fail(uint64_t number, const failure& why) {
  const auto it = completions_.find(number);
  if (it == completions_.end()) return;
  const auto& answer = it->second.answer;
  fail(number, openai::to_api_error(why, answer ? answer->request().text_field() : ""));
}

/// The whole completion: with its other choices.
void http_state::fail(uint64_t number, const api_error& why) {
  const auto it = completions_.find(number);
  if (it == completions_.end()) return;
  auto& c = it->second;
  if (c.has_started && c.answer->request().stream) {
    c.call->exchange->write(openai::error_event(why));
    c.call->exchange->end();
  } else {
    respond(c.call, why);
  }
  forget(number);
}

void http_state::forget(uint64_t number) {
  const auto it = completions_.find(number);
  if (it == completions_.end()) return;
  for (const auto& id : it->second.ids) {
    if (!id) continue;
    book_.forget(*id);
    cancel_request(*id);
  }
  completions_.erase(it);
}

void http_state::gone(uint64_t number) {
  forget(number);
}

void http_state::cancel_request(request_id id) {
  timed_request(self, kernel_, answer_timeout, atom::cancel_v, id)
      .then([](caf::ok_atom) {}, [](const caf::error& e) { log_lost_cancel(e); });
}

/// By the id of its answer. Its stream ends as a cancelled one does.
void http_state::cancel_named(const http_call_ptr& call, const caller& who, std::string_view name) {
  const auto it = std::find_if(completions_.begin(), completions_.end(), [&](const auto& c) {
    const auto& answer = c.second.answer;
    return answer && answer->head().id == name && (c.second.owner == who.owner || who.is_operator);
  });
  if (it == completions_.end()) {
    return respond(call, error_of(404, "not_found", "no such request runs"));
  }
  it->second.is_cancelled = true;
  for (const auto& id : it->second.ids) {
    if (id) cancel_request(*id);
  }
  respond(call, "{\"id\":\"" + it->second.answer->head().id + "\",\"cancelled\":true}");
}

std::string http_state::status() const {
  return "connections=" + std::to_string(server_ ? server_->num_connections() : 0) +
         " completions=" + std::to_string(completions_.size());
}

http_actor::behavior_type http(http_actor::stateful_pointer<http_state> self, http_args args) {
  self->state.start(std::move(args));
  return {
      [self](atom::chunk, const text_chunk& x) { self->state.add(x.id, x); },
      [self](atom::done, const generation_done& x) { self->state.add(x.id, x); },
      [self](atom::failed, request_id id, const failure& why) { self->state.add(id, why); },
      [self](atom::open) { return self->state.open(); },
      [self](atom::drain) { return self->state.drain(); },
      [self](atom::ended) { self->state.drained(); },
      [self](atom::submit, const http_call_ptr& call) { self->state.take(call); },
      [self](atom::cancel, uint64_t number) { self->state.gone(number); },
      [self](atom::update, const config_ptr& c) { self->state.configure(*c); },
      [self](atom::update, const std::shared_ptr<const api_key_table>& keys) {
        self->state.use_keys(*keys);
      },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
