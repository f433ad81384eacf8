#include "actors/gateway/shell/session.hpp"

#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>

#include "runtime/base/home.hpp"
#include "runtime/base/nearest.hpp"
#include "runtime/base/write_file.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

using json = nlohmann::ordered_json;

constexpr const char* timing_key = "timing";
constexpr const char* timing_doc = "Tokens per second and time to first token after each answer.";

/// The keys of requests that a chat has: it has no place for log-probabilities.
std::vector<config_key> chat_keys(sampling_params& x) {
  auto keys = keys_of(x);
  std::erase_if(keys, [](const config_key& k) { return k.name.ends_with("logprobs"); });
  return keys;
}

result<config_key> find_chat_key(sampling_params& x, std::string_view name) {
  const auto keys = chat_keys(x);
  if (auto key = find_key(keys, name)) return key;
  std::vector<std::string> names{timing_key};
  for (const auto& k : keys) names.push_back(k.name);
  const auto near = nearest_name(name, names);
  return failure{ec::invalid_argument, "/set: unknown key " + quote_short(name),
                 near ? "did you mean " + *near + "?" : "/set lists the keys"};
}

result<bool> read_switch(std::string_view value) {
  if (value == "on" || value == "true") return true;
  if (value == "off" || value == "false") return false;
  return failure{
      ec::invalid_argument,
      std::string{timing_key} + ": expected on or off, found \"" + std::string{value} + "\"",
      "allowed: on or off"};
}

std::string or_default(const std::string& text, const char* fallback) {
  return text.empty() ? fallback : text;
}

/// Every setting but this one reads the same in YAML and in JSON.
json setting_json(const config_key& key) {
  const auto* biases = std::get_if<std::map<token_id, float>*>(&key.slot);
  if (biases == nullptr) return json::parse(render_value(key));
  json out = json::object();
  for (const auto& [id, bias] : **biases) out[std::to_string(id)] = bias;
  return out;
}

/// A model's file name may be no UTF-8: such bytes become U+FFFD.
std::string json_text(const json& x) {
  return x.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

json usage_json(const generation_usage& u) {
  return {{"prompt_tokens", u.prompt_tokens},
          {"cached_tokens", u.cached_tokens},
          {"completion_tokens", u.completion_tokens},
          {"first_token_us", u.first_token_us},
          {"total_us", u.total_us}};
}

}  // namespace

chat_session::chat_session(const node_config& defaults)
    : model(defaults.models.default_model),
      system(defaults.shell.system),
      sampling_(defaults.sampling) {
  sampling_.logprobs = false;
  sampling_.top_logprobs = 0;
}

request_ptr chat_session::ask(std::string question) {
  replaced_.reset();
  unanswered_.reset();
  turns_.push_back({std::move(question), "", {}});
  return make_request();
}

result<request_ptr> chat_session::regenerate() {
  if (unanswered_) return ask(*std::exchange(unanswered_, std::nullopt));
  if (turns_.empty()) {
    return failure{ec::invalid_argument, "there is no answer to make again", "ask something first"};
  }
  replaced_ = turns_.back();
  turns_.back() = {replaced_->question, "", {}};
  return make_request();
}

request_ptr chat_session::make_request() const {
  auto request = std::make_shared<generate_request>();
  request->model = model;
  request->messages = messages();
  request->sampling = sampling_;
  return request;
}

json chat_session::messages() const {
  json out = json::array();
  if (!system.empty()) out.push_back({{"role", "system"}, {"content", system}});
  for (const auto& turn : turns_) {
    out.push_back({{"role", "user"}, {"content", turn.question}});
    if (turn.answer.empty()) continue;  // the turn being asked
    out.push_back({{"role", "assistant"}, {"content", turn.answer}});
  }
  return out;
}

void chat_session::append(std::string_view text) {
  turns_.back().answer += text;
}

void chat_session::finish(const generation_done& end) {
  if (turns_.back().answer.empty()) return take_back();
  turns_.back().end = end;
  replaced_.reset();
}

void chat_session::fail() {
  if (turns_.back().answer.empty()) return take_back();
  turns_.back().end.reason = finish_reason::cancelled;
  replaced_.reset();
}

void chat_session::take_back() {
  unanswered_ = std::move(turns_.back().question);
  turns_.pop_back();
  if (!replaced_) return;
  turns_.push_back(*std::exchange(replaced_, std::nullopt));
  unanswered_.reset();
}

void chat_session::clear() {
  turns_.clear();
}

std::vector<std::string> chat_session::keys() {
  std::vector<std::string> out{timing_key};
  for (const auto& key : chat_keys(sampling_)) out.push_back(key.name);
  return out;
}

result<void> chat_session::set(std::string_view key, std::string_view value) {
  if (key == timing_key) {
    LLMOS_TRY(timing, read_switch(value));
    return {};
  }
  auto changed = sampling_;
  LLMOS_TRY(const auto slot, find_chat_key(changed, key));
  LLMOS_TRY_VOID(assign_text(slot, value));
  LLMOS_TRY_VOID(validate(changed, max_sampling_vocab));
  sampling_ = std::move(changed);
  return {};
}

result<std::string> chat_session::explain(std::string_view key) {
  if (key == timing_key) {
    return std::string{timing_key} + " = " + (timing ? "on" : "off") + "\n" + timing_doc +
           " Allowed: on or off.\n";
  }
  LLMOS_TRY(const auto slot, find_chat_key(sampling_, key));
  return slot.name + " = " + render_value(slot) + "\n" + std::string{slot.doc} +
         " Allowed: " + allowed_values(slot) + ".\n";
}

std::string chat_session::show_settings() {
  std::string out;
  const auto row = [&out](std::string name, const std::string& value) {
    name.resize(20, ' ');
    out += name + value + "\n";
  };
  row(timing_key, timing ? "on" : "off");
  for (const auto& key : chat_keys(sampling_)) row(key.name, render_value(key));
  return out;
}

std::string chat_session::show_model() const {
  return or_default(model, "(the node's default)") + "\n";
}

std::string chat_session::show_system() const {
  return or_default(system, "(the model's own)") + "\n";
}

std::string chat_session::show_history() const {
  std::string out;
  for (const auto& turn : turns_) {
    out += ">>> " + turn.question + "\n" + turn.answer + "\n" + end_line(turn.end);
  }
  return or_default(out, "(nothing was said yet)\n");
}

json chat_session::transcript() {
  json out{{"model", model}, {"system", system}, {"sampling", json::object()}};
  for (const auto& key : chat_keys(sampling_)) out["sampling"][key.name] = setting_json(key);
  out["messages"] = messages();
  out["answers"] = json::array();
  for (const auto& turn : turns_) {
    out["answers"].push_back({{"model", turn.end.model},
                              {"finish_reason", to_string(turn.end.reason)},
                              {"seed", turn.end.seed},
                              {"usage", usage_json(turn.end.usage)}});
  }
  return out;
}

std::string chat_session::markdown() const {
  std::string out = "# Chat with " + or_default(model, "the default model") + "\n";
  if (!system.empty()) out += "\n## System\n\n" + system + "\n";
  for (const auto& turn : turns_) {
    out += "\n## User\n\n" + turn.question + "\n\n## Assistant\n\n" + turn.answer + "\n";
    if (turn.end.reason != finish_reason::stop) out.append("\n").append(end_line(turn.end));
  }
  return out;
}

result<std::string> chat_session::save(const std::string& file) {
  const std::filesystem::path path{expand_home(file)};
  const bool as_json = path.extension() == ".json";
  if (!as_json && path.extension() != ".md") {
    return failure{ec::invalid_argument, "/save: " + file + " ends with neither .json nor .md",
                   "usage: /save FILE.json|FILE.md"};
  }
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(path, error).string();
  if (saved_.count(real) == 0 && std::filesystem::exists(path, error)) {
    return failure{ec::invalid_argument, "/save: " + file + " is there already",
                   "choose another name, or remove it first"};
  }
  LLMOS_TRY_VOID(write_file(path.string(), as_json ? json_text(transcript()) : markdown()));
  saved_.insert(real);
  return "wrote " + std::to_string(messages().size()) + " messages to " + file + "\n";
}

std::string timing_line(const generation_usage& u) {
  char text[200];
  std::snprintf(text, sizeof text,
                "[%u tokens, %.1f tokens/s, first after %.2f s; prompt %u tokens, %u of them "
                "cached]\n",
                u.completion_tokens, u.decode_tokens_per_s(),
                static_cast<double>(u.first_token_us) * 1e-6, u.prompt_tokens, u.cached_tokens);
  return text;
}

std::string end_line(const generation_done& end) {
  if (end.reason == finish_reason::cancelled) return "[stopped]\n";
  if (end.reason != finish_reason::length) return "";
  return "[cut after " + std::to_string(end.usage.completion_tokens) +
         (end.context_full ? " tokens: the context is full, /clear makes room]\n"
                           : " tokens: /set max_tokens N allows more]\n");
}

}  // namespace llmos
