#pragma once

#include <caf/stateful_actor.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/schedule/generation.hpp"

namespace llmos {

/// What the kernel gives a new process.
struct process_args {
  request_id id;
  request_ptr request;
  client_actor client;
  core_wiring rooms;
  uint64_t seed = 0;         ///< Used when the request has none.
  uint32_t deadline_ms = 0;  ///< From now to the last token.
};

/// PROCESS's state.
///
///   loading ──engine──▶ tokenizing ──ids──▶ waiting ──first token──▶ running ──▶ ended
///      ▲                                       │  ▲                     │
///      │                                       │  └──── ledger lost ────┤
///      └──────────── engine lost ──────────────┴────────────────────────┘
struct process_state {
  static inline constexpr const char* name = "process";

  explicit process_state(process_actor::stateful_pointer<process_state> self) : self(self) {}

  void start(process_args a);
  void wire(const core_wiring& now);
  void token(const token_event& event);
  void fail(const failure& why);
  void cancel();
  void down(const caf::down_msg& d);
  std::string status() const;

  process_actor::stateful_pointer<process_state> self;

private:
  void set_deadline();
  void deadline_passed();
  enum class phase : uint8_t { loading, tokenizing, waiting, running };

  void enter(phase next);
  process_info info() const;
  uint32_t num_generated() const;
  void ask_for_engine();
  void encode();
  void prepare(const token_vector& prompt);
  void enqueue();
  void engine_lost(const failure& why);
  void note_token(std::chrono::steady_clock::time_point now);
  void stop_sequence();
  void send_done(finish_reason reason);
  void leave(const std::string& outcome);
  generation_usage usage() const;

  process_args args;
  phase state = phase::loading;
  engine_handles engine;
  std::optional<generation> gen;
  std::chrono::steady_clock::time_point started;
  std::optional<std::chrono::steady_clock::time_point> first_token, last_token;
  latency_histogram token_gaps;
  uint32_t num_prompt = 0;
  uint32_t engines_lost = 0;
  bool enqueued = false;
  bool over = false;
};

process_actor::behavior_type process(process_actor::stateful_pointer<process_state> self,
                                     process_args args);

}  // namespace llmos
