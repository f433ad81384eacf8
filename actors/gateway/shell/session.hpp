#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/node_config.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos {

/// One question and what came of it.
struct chat_turn {
  std::string question;
  std::string answer;
  generation_done end;  ///< How the answer ended, with its seed and usage.
};

/// The conversation of one shell: system prompt, turns, settings. What is sent is always the whole
/// conversation; nothing is cut.
///
///   idle ──ask, regenerate──▶ asked ──append*──▶ asked ──finish, fail──▶ idle
///
/// A stopped answer stays in the conversation as far as it came: the model sees what the user saw.
/// A question that got no text at all (it failed, or was stopped before the first token) leaves the
/// conversation as it was before; `regenerate` asks it again.
class chat_session {
public:
  /// Model, system prompt and sampling of a fresh chat.
  explicit chat_session(const node_config& defaults);

  /// What to send for a question. REQUIRES: idle; valid UTF-8.
  request_ptr ask(std::string question);
  /// What to send for another answer to the last question: the last answer is dropped. A fixed seed
  /// stays; without one another is drawn. Errors: invalid_argument (nothing was asked).
  result<request_ptr> regenerate();

  /// More of the answer. REQUIRES: asked (as the two below).
  void append(std::string_view text);
  void finish(const generation_done& end);
  void fail();

  /// Forgets the conversation; settings and system prompt stay. REQUIRES: idle.
  void clear();

  /// "temperature", "timing", …: what /set takes.
  std::vector<std::string> keys();
  /// Sets one key. Errors: invalid_argument (the nearest key, or what is allowed).
  result<void> set(std::string_view key, std::string_view value);
  /// Value, meaning and range of one key. Errors: invalid_argument.
  result<std::string> explain(std::string_view key);

  /// Texts of /show.
  std::string show_settings();
  std::string show_model() const;
  std::string show_system() const;
  std::string show_history() const;

  /// Writes the conversation to FILE.json or FILE.md, whole or not at all; returns what it wrote. A
  /// file that stands there and is not from this session is left alone. Errors: invalid_argument,
  /// io_error.
  result<std::string> save(const std::string& file);

  const std::vector<chat_turn>& turns() const { return turns_; }
  /// The messages that go to the model: [{role, content}, …].
  nlohmann::ordered_json messages() const;
  nlohmann::ordered_json transcript();
  std::string markdown() const;

  std::string model;   ///< Name or path as requests carry it; empty: the node's default.
  std::string system;  ///< Empty: what the model's template brings.
  bool timing = false;

private:
  request_ptr make_request() const;
  void take_back();

  sampling_params sampling_;
  std::vector<chat_turn> turns_;
  std::optional<chat_turn> replaced_;  // by the turn that is being asked
  std::optional<std::string> unanswered_;
  std::set<std::string> saved_;
};

/// "[42 tokens, 118.2 tokens/s, first after 0.09 s; prompt 31 tokens, 16 of them cached]\n"
std::string timing_line(const generation_usage& usage);

/// Why an answer ended, where a reader cannot see it: stopped or cut; empty for a natural end.
std::string end_line(const generation_done& end);

}  // namespace llmos
