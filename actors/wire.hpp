#pragma once

#include <caf/meta/type_name.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/wire_atoms.hpp"

// What crosses a process: the messages between a node's GATE and those who connect to it.
//
// A published type never changes, as an older peer drops an added field in silence: a new version
// is a new type with a new name. tests/golden/wire holds how each is written.
//
//   client ──hello──▶ gate        client ──submit──▶ gate ──chunk*, then done or failed──▶ client
//          ◀─welcome──                   ◀─accepted─      ◀──────────── ack ──────────────
namespace llmos::wire {

constexpr uint16_t major_version = 1, minor_version = 0;

/// The first message of a connection.
struct hello {
  uint16_t major = major_version, minor = minor_version;
  std::string client;                 ///< Name and version of the program, for logs.
  std::vector<std::string> features;  ///< That the client knows.
};

struct welcome {
  uint16_t major = major_version, minor = minor_version;
  std::string server;     ///< "llmos 0.1.0"
  std::string principal;  ///< Who the client is here.
  std::vector<std::string> features;
  uint32_t window_bytes = 0;  ///< Unacknowledged events of one stream at most.
  uint32_t max_keep_ms = 0;   ///< How long a stream is kept for a client that was cut off.
};

/// A sampling parameter by its name in the configuration, its value as YAML (so JSON will do).
struct setting {
  std::string name, value;
};

/// A generation. Either messages or a prompt. What no setting says the node's defaults do.
struct request {
  /// Chosen by the client at random; sent again it names the same generation.
  std::string ticket;
  uint64_t received = 0;  ///< Events of it that the client has: 0, or more when it comes back.
  std::string model;      ///< Empty: the node's default.
  std::string prompt;
  std::string messages;  ///< JSON array, or empty.
  std::string tools;     ///< JSON array, or empty.
  std::vector<setting> sampling;
  int32_t priority = 0;      ///< Lower goes first; below 0 is for operators.
  uint32_t deadline_ms = 0;  ///< 0: the node's default.
  uint32_t keep_ms = 0;      ///< For a client that was cut off; 0: its end is the generation's.
};

struct accepted {
  std::string ticket;
  bool resumed = false;  ///< It ran already: its events go on behind those received.
};

struct alternative {
  int32_t id = 0;
  float logprob = 0;
};

struct token {
  int32_t id = 0;
  float logprob = 0;
  std::vector<alternative> top;
};

/// New text. Events of a ticket are numbered from 1.
struct chunk {
  std::string ticket;
  uint64_t number = 0;
  std::string text;
  std::vector<token> tokens;  ///< With log-probabilities, where they were asked for.
};

/// The end of a generation that went well.
struct done {
  std::string ticket;
  uint64_t number = 0;
  std::string reason;  ///< "stop", "length", "cancelled"
  bool context_full = false;
  std::string stop_string;
  std::string model;
  uint64_t seed = 0;
  uint32_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  uint64_t first_token_us = 0, total_us = 0;
};

/// The end of one that did not.
struct failed {
  std::string ticket;
  uint64_t number = 0;
  std::string code;  ///< A name of ec: "over_context".
  std::string text, hint;
};

/// All events of the ticket up to this one were taken.
struct ack {
  std::string ticket;
  uint64_t number = 0;
};

/// Ends a generation; its `done` comes with reason "cancelled".
struct cancel {
  std::string ticket;
};

struct model_name {
  std::string name;
};

struct model {
  std::string name, state, description;
  uint64_t file_bytes = 0;
  bool is_default = false;
};
struct models {
  std::vector<model> all;
};

struct process {
  uint64_t id = 0;
  std::string owner, model, state;
  uint32_t prompt_tokens = 0, generated_tokens = 0;
  uint64_t age_ms = 0;
};
struct processes {
  std::vector<process> all;
};

/// A text, or a conversation, to be told in tokens.
struct text_of {
  std::string model;  ///< Empty: the node's default.
  std::string prompt;
  std::string messages;  ///< JSON array, or empty.
};
struct tokens_of {
  std::string model;
  std::vector<int32_t> ids;
};
struct tokens {
  std::vector<int32_t> ids;
  uint32_t context = 0;  ///< Of the model: tokens of prompt and answer.
};

/// Ends a process; its owner is told so.
struct kill {
  uint64_t id = 0;
};

/// Asks for what the atom before it names.
struct query {};
struct text {
  std::string text;
};

/// How the node is.
struct status {
  std::string state;  ///< "ready"; "draining": it takes no new work.
  uint64_t uptime_ms = 0;
  uint32_t processes = 0, max_processes = 0;  ///< Generations that have not ended.
  uint32_t waiting = 0, running = 0;          ///< Of these, those that an engine has.
  uint64_t used_blocks = 0, all_blocks = 0;   ///< Of KV memory; cached ones are not in use.
};

struct label {
  std::string name, value;
};
/// One labelled line of a metric: a value, or a histogram of durations.
struct series {
  std::vector<label> labels;
  double value = 0;
  double sum = 0, min = 0, max = 0;  ///< Of all durations, in seconds.
  std::vector<uint64_t> buckets;     ///< One for each bound, and one above all.
};
struct metric {
  std::string name, help;
  std::string kind;  ///< "counter", "gauge", "histogram"
  std::vector<series> all;
};
struct metrics {
  std::vector<double> bounds;  ///< Upper ones of the histograms' buckets, in seconds, ascending.
  std::vector<metric> all;
};

/// Asks for what happens to the node: waits so long for something behind a position.
struct watch {
  uint64_t log = 0;     ///< 0: whichever log there is.
  uint64_t number = 0;  ///< Of the last event that is known; beyond the last one: that.
  uint32_t wait_ms = 0;
};
struct event {
  uint64_t number = 0;
  int64_t unix_ms = 0;
  std::string kind;  ///< "engine_started", "draining"
  std::string subject, text;
};
struct events {
  uint64_t log = 0, number = 0;  ///< To go on from.
  uint64_t num_lost = 0;         ///< Events behind the position that the node has forgotten.
  std::vector<event> all;
};

template <class I>
typename I::result_type inspect(I& f, hello& x) {
  return f(caf::meta::type_name("hello"), x.major, x.minor, x.client, x.features);
}
template <class I>
typename I::result_type inspect(I& f, welcome& x) {
  return f(caf::meta::type_name("welcome"), x.major, x.minor, x.server, x.principal, x.features,
           x.window_bytes, x.max_keep_ms);
}
template <class I>
typename I::result_type inspect(I& f, setting& x) {
  return f(caf::meta::type_name("setting"), x.name, x.value);
}
template <class I>
typename I::result_type inspect(I& f, request& x) {
  return f(caf::meta::type_name("request"), x.ticket, x.received, x.model, x.prompt, x.messages,
           x.tools, x.sampling, x.priority, x.deadline_ms, x.keep_ms);
}
template <class I>
typename I::result_type inspect(I& f, accepted& x) {
  return f(caf::meta::type_name("accepted"), x.ticket, x.resumed);
}
template <class I>
typename I::result_type inspect(I& f, alternative& x) {
  return f(caf::meta::type_name("alternative"), x.id, x.logprob);
}
template <class I>
typename I::result_type inspect(I& f, token& x) {
  return f(caf::meta::type_name("token"), x.id, x.logprob, x.top);
}
template <class I>
typename I::result_type inspect(I& f, chunk& x) {
  return f(caf::meta::type_name("chunk"), x.ticket, x.number, x.text, x.tokens);
}
template <class I>
typename I::result_type inspect(I& f, done& x) {
  return f(caf::meta::type_name("done"), x.ticket, x.number, x.reason, x.context_full,
           x.stop_string, x.model, x.seed, x.prompt_tokens, x.cached_tokens, x.completion_tokens,
           x.first_token_us, x.total_us);
}
template <class I>
typename I::result_type inspect(I& f, failed& x) {
  return f(caf::meta::type_name("failed"), x.ticket, x.number, x.code, x.text, x.hint);
}
template <class I>
typename I::result_type inspect(I& f, ack& x) {
  return f(caf::meta::type_name("ack"), x.ticket, x.number);
}
template <class I>
typename I::result_type inspect(I& f, cancel& x) {
  return f(caf::meta::type_name("cancel"), x.ticket);
}
template <class I>
typename I::result_type inspect(I& f, model_name& x) {
  return f(caf::meta::type_name("model_name"), x.name);
}
template <class I>
typename I::result_type inspect(I& f, model& x) {
  return f(caf::meta::type_name("model"), x.name, x.state, x.description, x.file_bytes,
           x.is_default);
}
template <class I>
typename I::result_type inspect(I& f, models& x) {
  return f(caf::meta::type_name("models"), x.all);
}
template <class I>
typename I::result_type inspect(I& f, process& x) {
  return f(caf::meta::type_name("process"), x.id, x.owner, x.model, x.state, x.prompt_tokens,
           x.generated_tokens, x.age_ms);
}
template <class I>
typename I::result_type inspect(I& f, processes& x) {
  return f(caf::meta::type_name("processes"), x.all);
}
template <class I>
typename I::result_type inspect(I& f, text_of& x) {
  return f(caf::meta::type_name("text_of"), x.model, x.prompt, x.messages);
}
template <class I>
typename I::result_type inspect(I& f, tokens_of& x) {
  return f(caf::meta::type_name("tokens_of"), x.model, x.ids);
}
template <class I>
typename I::result_type inspect(I& f, tokens& x) {
  return f(caf::meta::type_name("tokens"), x.ids, x.context);
}
template <class I>
typename I::result_type inspect(I& f, kill& x) {
  return f(caf::meta::type_name("kill"), x.id);
}
template <class I>
typename I::result_type inspect(I& f, query& x) {
  static_cast<void>(x);
  return f(caf::meta::type_name("query"));
}
template <class I>
typename I::result_type inspect(I& f, text& x) {
  return f(caf::meta::type_name("text"), x.text);
}
template <class I>
typename I::result_type inspect(I& f, status& x) {
  return f(caf::meta::type_name("status"), x.state, x.uptime_ms, x.processes, x.max_processes,
           x.waiting, x.running, x.used_blocks, x.all_blocks);
}
template <class I>
typename I::result_type inspect(I& f, label& x) {
  return f(caf::meta::type_name("label"), x.name, x.value);
}
template <class I>
typename I::result_type inspect(I& f, series& x) {
  return f(caf::meta::type_name("series"), x.labels, x.value, x.sum, x.min, x.max, x.buckets);
}
template <class I>
typename I::result_type inspect(I& f, metric& x) {
  return f(caf::meta::type_name("metric"), x.name, x.help, x.kind, x.all);
}
template <class I>
typename I::result_type inspect(I& f, metrics& x) {
  return f(caf::meta::type_name("metrics"), x.bounds, x.all);
}
template <class I>
typename I::result_type inspect(I& f, watch& x) {
  return f(caf::meta::type_name("watch"), x.log, x.number, x.wait_ms);
}
template <class I>
typename I::result_type inspect(I& f, event& x) {
  return f(caf::meta::type_name("event"), x.number, x.unix_ms, x.kind, x.subject, x.text);
}
template <class I>
typename I::result_type inspect(I& f, events& x) {
  return f(caf::meta::type_name("events"), x.log, x.number, x.num_lost, x.all);
}

}  // namespace llmos::wire

namespace llmos {

/// CLIENT of a gate: takes the events of its tickets, and acknowledges them.
using wire_client_actor = caf::typed_actor<caf::reacts_to<atom::chunk, wire::chunk>,
                                           caf::reacts_to<atom::done, wire::done>,
                                           caf::reacts_to<atom::failed, wire::failed>>;

/// GATE. What a node shows to those who connect: it knows wire types only.
using gate_actor = caf::typed_actor<
    // Comes first, once for each connection. Errors: unsupported (another major version).
    caf::replies_to<atom::hello, wire::hello>::with<wire::welcome>,
    // Starts a generation, or goes on with one; events go to the sender, who is a
    // wire_client_actor. Errors: invalid_argument, overloaded, shutting_down, not_found (a ticket
    // of which events were received, and that is not here).
    caf::replies_to<atom::submit, wire::request>::with<wire::accepted>,
    // Lets further events come.
    caf::reacts_to<atom::ack, wire::ack>,
    // Errors: not_found.
    caf::replies_to<atom::cancel, wire::cancel>::with<caf::ok_atom>,
    // Errors of these: those of KERNEL.
    caf::replies_to<atom::list, wire::query>::with<wire::models>,
    caf::replies_to<atom::load, wire::model_name>::with<wire::model>,
    caf::replies_to<atom::unload, wire::model_name>::with<caf::ok_atom>,
    caf::replies_to<atom::ps, wire::query>::with<wire::processes>,
    caf::replies_to<atom::cancel, wire::kill>::with<caf::ok_atom>,
    caf::replies_to<atom::encode, wire::text_of>::with<wire::tokens>,
    caf::replies_to<atom::decode, wire::tokens_of>::with<wire::text>,
    caf::replies_to<atom::status, wire::query>::with<wire::status>,
    caf::replies_to<atom::stats, wire::query>::with<wire::metrics>,
    // Errors: overloaded (several wait already on this connection).
    caf::replies_to<atom::watch, wire::watch>::with<wire::events>>;

}  // namespace llmos

CAF_BEGIN_TYPE_ID_BLOCK(llmos_wire, caf::first_custom_type_id + 1000)
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::hello))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::welcome))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::setting))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::request))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::accepted))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::alternative))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::token))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::chunk))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::done))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::failed))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::ack))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::cancel))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::model_name))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::model))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::models))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::process))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::processes))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::query))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::text_of))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::tokens_of))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::tokens))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::kill))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::text))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::status))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::label))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::series))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::metric))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::metrics))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::watch))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::event))
CAF_ADD_TYPE_ID(llmos_wire, (llmos::wire::events))
CAF_END_TYPE_ID_BLOCK(llmos_wire)
