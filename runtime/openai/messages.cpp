#include "runtime/openai/messages.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "runtime/base/result.hpp"
#include "runtime/openai/fields.hpp"

namespace llmos::openai {

namespace {

constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant",
                                                   "tool"};

outcome<std::string> read_part(const json& x, const std::string& path) {
  static constexpr std::array<std::string_view, 2> known = {"type", "text"};
  LLMOS_TRY_VOID(check_object(x, path));
  LLMOS_TRY(const auto type, required_text(x, "type", path));
  if (type != "text") {
    return unsupported(path + ".type", path + ".type: '" + type.substr(0, 40) +
                                           "' is not supported; allowed: text");
  }
  LLMOS_TRY_VOID(check_names(x, known, path));
  return required_text(x, "text", path);
}

outcome<std::string> read_content(const json& x, const std::string& path) {
  if (x.is_string()) return x.get<std::string>();
  if (!x.is_array()) return wrong_type(path, "a text or a list of parts", x);
  LLMOS_TRY_VOID(check_list(x, path));
  std::string out;
  for (size_t i = 0; i < x.size(); ++i) {
    LLMOS_TRY(const auto part, read_part(x[i], at(path, i)));
    out += (i == 0 ? "" : "\n") + part;
  }
  return out;
}

/// Clients send JSON in a text, templates print an object.
outcome<json> read_arguments(const std::string& text, const std::string& path) {
  if (text.empty()) return json::object();
  auto parsed = parse_object(text);
  if (parsed) return parsed;
  return invalid(path, path + ": no JSON object: " + parsed.error().message);
}

outcome<json> read_call(const json& x, const std::string& path) {
  static constexpr std::array<std::string_view, 4> known = {"id", "type", "function", "index"};
  static constexpr std::array<std::string_view, 2> known_inside = {"name", "arguments"};
  LLMOS_TRY_VOID(check_object(x, path));
  LLMOS_TRY_VOID(check_names(x, known, path));
  LLMOS_TRY(const auto id, required_text(x, "id", path));
  if (const json* type = find_given(x, "type"); type != nullptr && *type != "function") {
    return unsupported(path + ".type", path + ".type: allowed: function");
  }
  const std::string inside = path + ".function";
  const json* function = find_given(x, "function");
  if (function == nullptr) return invalid(inside, inside + " is missing");
  LLMOS_TRY_VOID(check_object(*function, inside));
  LLMOS_TRY_VOID(check_names(*function, known_inside, inside));
  LLMOS_TRY(const auto name, required_text(*function, "name", inside));
  LLMOS_TRY(const auto text, required_text(*function, "arguments", inside));
  LLMOS_TRY(auto arguments, read_arguments(text, inside + ".arguments"));
  json out = {{"id", id}, {"type", "function"}, {"function", json::object({{"name", name}})}};
  out["function"]["arguments"] = std::move(arguments);
  return out;
}

outcome<json> read_calls(const json& x, const std::string& path) {
  if (!x.is_array()) return wrong_type(path, "a list", x);
  json out = json::array();
  for (size_t i = 0; i < x.size(); ++i) {
    LLMOS_TRY(out.emplace_back(), read_call(x[i], at(path, i)));
  }
  return out;
}

std::span<const std::string_view> fields_of_role(std::string_view role) {
  static constexpr std::array<std::string_view, 3> common = {"role", "content", "name"};
  static constexpr std::array<std::string_view, 5> assistant = {"role", "content", "name",
                                                                "tool_calls", "reasoning_content"};
  static constexpr std::array<std::string_view, 4> tool = {"role", "content", "name",
                                                           "tool_call_id"};
  if (role == "assistant") return assistant;
  if (role == "tool") return tool;
  return common;
}

/// An assistant that called tools need not have said anything.
outcome<json> content_of(const json& message, bool may_be_silent, const std::string& path) {
  const json* content = find_given(message, "content");
  if (content == nullptr) {
    if (may_be_silent) return json{};
    return invalid(path + ".content", path + ".content is missing");
  }
  LLMOS_TRY(auto text, read_content(*content, path + ".content"));
  return json(std::move(text));
}

/// Lists without entries that clients send back as they got them.
bool says_nothing(std::string_view name, const json& x) {
  return (name == "tool_calls" || name == "annotations") && x.is_array() && x.empty();
}

outcome<json> read_message(const json& sent, const std::string& path) {
  LLMOS_TRY_VOID(check_object(sent, path));
  json x = json::object();
  for (const auto& [name, value] : sent.items()) {
    if (!says_nothing(name, value)) x.get_ref<json::object_t&>().push_back({name, value});
  }
  LLMOS_TRY(const auto role, required_text(x, "role", path));
  if (std::find(roles.begin(), roles.end(), role) == roles.end()) {
    return invalid(path + ".role",
                   path + ".role: '" + role.substr(0, 40) +
                       "' is no role; allowed: system, developer, user, assistant, tool");
  }
  LLMOS_TRY_VOID(check_names(x, fields_of_role(role), path));
  const json* calls = find_given(x, "tool_calls");
  json out = json::object({{"role", role == "developer" ? "system" : role}});
  LLMOS_TRY(out["content"], content_of(x, calls != nullptr, path));
  for (const char* name : {"name", "reasoning_content", "tool_call_id"}) {
    if (find_given(x, name) == nullptr) continue;
    LLMOS_TRY(out[name], required_text(x, name, path));
  }
  if (role == "tool" && !out.contains("tool_call_id")) {
    return invalid(path + ".tool_call_id", path + ".tool_call_id is missing");
  }
  if (calls != nullptr) {
    LLMOS_TRY(out["tool_calls"], read_calls(*calls, path + ".tool_calls"));
  }
  return out;
}

}  // namespace

outcome<json> read_messages(const json& value) {
  LLMOS_TRY_VOID(check_list(value, "messages"));
  json out = json::array();
  for (size_t i = 0; i < value.size(); ++i) {
    LLMOS_TRY(out.emplace_back(), read_message(value[i], at("messages", i)));
  }
  return out;
}

}  // namespace llmos::openai
