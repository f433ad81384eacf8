#include "runtime/jobs/job_item.hpp"

#include <algorithm>
#include <array>

#include "runtime/jobs/substitute.hpp"
#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant",
                                                   "tool"};

std::vector<config_key> keys_of(item_spec& x, yaml_node& variables) {
  std::vector<config_key> keys = {
      {"id", &x.id, {}, "", "A name of its own."},
      {"model", &x.model, {}, "", "A name in the models folder, or a path."},
      {"system", &x.system, {}, "", "The system prompt."},
      {"prompt", &x.prompt, {}, "", "What is asked."},
      {"messages", &x.messages, {}, "", "A chat: a list of {role, content}."},
      {"raw", &x.raw, {}, "", "Sends the prompt without the model's chat template."},
      priority_key(x.priority),
      {"deadline_ms", &x.deadline_ms, {0, 4294967295.0}, "ms", "0 = the node's default."},
      {"variables", &variables, {}, "", "A map of names to texts."},
  };
  for (auto& key : keys_of(x.sampling)) {
    key.name.insert(0, "sampling.");
    keys.push_back(std::move(key));
  }
  return keys;
}

bool is_set(const yaml_node& x) {
  return x.type != yaml_node::kind::null;
}

result<void> read_variables(const yaml_node& map, variable_map& out, std::string_view file) {
  if (!is_set(map)) return {};
  if (map.type != yaml_node::kind::map) {
    return error_at(file, map.place, "variables: expected a map, found " + describe(map),
                    "write name: text, one per line");
  }
  for (const auto& f : map.fields) {
    if (f.value.type != yaml_node::kind::scalar && is_set(f.value)) {
      return error_at(file, f.value.place, f.key + ": expected a text, found " + describe(f.value),
                      "a variable is one text");
    }
    out[f.key] = f.value.text;
  }
  return {};
}

/// A JSON value as a job file would have it. Texts are plain: one may stand for a number.
yaml_node node_of(const nlohmann::ordered_json& value, text_place place) {
  yaml_node out;
  out.place = place;
  if (value.is_array()) {
    out.type = yaml_node::kind::sequence;
    for (const auto& x : value) out.items.push_back(node_of(x, place));
  } else if (value.is_object()) {
    out.type = yaml_node::kind::map;
    for (const auto& [key, x] : value.items())
      out.fields.push_back({key, place, node_of(x, place)});
  } else if (!value.is_null()) {
    out.type = yaml_node::kind::scalar;
    out.text = text_of(value);
  }
  return out;
}

/// A value of an item and the file that its places are in.
struct placed_value {
  yaml_node node;
  std::string_view file;
  bool is_data = false;  ///< A variable's value: what it holds is not looked into again.
};

/// The value itself, or that of the variable which it is.
result<placed_value> resolve(const yaml_node& x, const std::string& what, const item_spec& spec,
                             std::string_view where, std::string_view file) {
  const auto name =
      x.type == yaml_node::kind::scalar ? lone_variable(x.text) : std::optional<std::string>{};
  if (!name) return placed_value{x, file};
  const auto value = find_variable(*name, spec.variables);
  if (!value) {
    return error_at(file, x.place, what + ": " + value.error().text, value.error().hint);
  }
  const auto row = spec.row_places.find(*name);
  if (row == spec.row_places.end()) return placed_value{node_of(**value, x.place), file, true};
  return placed_value{node_of(**value, row->second), where, true};
}

/// Whether a field may be assigned later: texts are filled in where they are used, an id is needed
/// at once.
bool can_wait(const std::vector<config_key>& keys, const std::string& name) {
  const auto key = find_key(keys, name);
  return key && name != "id" && !std::holds_alternative<yaml_node*>(key->slot);
}

/// Moves fields that are one variable out of `map`; what the map says anew is late no more.
void take_late(yaml_node& map, const std::string& prefix, const std::vector<config_key>& keys,
               std::vector<late_field>& late) {
  std::vector<yaml_field> kept;
  for (auto& f : map.fields) {
    const auto name = prefix + f.key;
    std::erase_if(late, [&](const late_field& x) { return x.key == name; });
    if (name == "sampling") take_late(f.value, "sampling.", keys, late);
    const bool is_variable = f.value.type == yaml_node::kind::scalar && lone_variable(f.value.text);
    if (is_variable && can_wait(keys, name)) {
      late.push_back({name, std::move(f.value)});
    } else {
      kept.push_back(std::move(f));
    }
  }
  map.fields = std::move(kept);
}

result<void> assign_late(item_spec& x, std::string_view where, std::string_view file) {
  yaml_node variables;
  const auto keys = keys_of(x, variables);
  for (const auto& f : x.late) {
    LLMOS_TRY(const auto value, resolve(f.text, f.key, x, where, file));
    LLMOS_TRY_VOID(assign(*find_key(keys, f.key), value.node, value.file));
  }
  return {};
}

/// A text with its variables filled in; nullptr: it stays as it is.
result<std::string> fill(const yaml_node& text, const char* what, const variable_map* variables,
                         std::string_view file) {
  if (text.type != yaml_node::kind::scalar && is_set(text)) {
    return error_at(file, text.place,
                    std::string{what} + ": expected a text, found " + describe(text), "");
  }
  if (variables == nullptr) return text.text;
  auto filled = substitute(text.text, *variables);
  if (filled) return filled;
  return error_at(file, text.place, std::string{what} + ": " + filled.error().text,
                  filled.error().hint);
}

result<nlohmann::ordered_json> make_message(const yaml_node& x, const variable_map* variables,
                                            std::string_view file) {
  std::string role, name;
  yaml_node content;
  const std::vector<config_key> keys = {
      {"role", &role, {}, "", ""}, {"content", &content, {}, "", ""}, {"name", &name, {}, "", ""}};
  if (x.type != yaml_node::kind::map) {
    return error_at(file, x.place, "messages: expected {role, content}, found " + describe(x), "");
  }
  LLMOS_TRY_VOID(assign_map(keys, x, "", file));
  if (std::find(roles.begin(), roles.end(), role) == roles.end()) {
    return error_at(
        file, x.place,
        role.empty() ? "a message without a role" : "role: " + quote_short(role) + " is none",
        "allowed: system, developer, user, assistant or tool");
  }
  LLMOS_TRY(std::string text, fill(content, "content", variables, file));
  nlohmann::ordered_json message = {{"role", role}, {"content", std::move(text)}};
  if (!name.empty()) message["name"] = name;
  return message;
}

/// The messages that an item lists, or names by a variable.
result<nlohmann::ordered_json> read_messages(const item_spec& spec, std::string_view where,
                                             std::string_view file) {
  LLMOS_TRY(const auto list, resolve(spec.messages, "messages", spec, where, file));
  if (list.node.type != yaml_node::kind::sequence || list.node.items.empty()) {
    return error_at(list.file, list.node.place,
                    "messages: expected a list, found " + describe(list.node),
                    "write - {role: user, content: …}, one per line");
  }
  auto out = nlohmann::ordered_json::array();
  for (const auto& item : list.node.items) {
    placed_value x{item, list.file, list.is_data};
    if (!list.is_data) {
      LLMOS_TRY(x, resolve(item, "messages", spec, where, file));
    }
    LLMOS_TRY(out.emplace_back(),
              make_message(x.node, x.is_data ? nullptr : &spec.variables, x.file));
  }
  return out;
}

/// The chat of an item; its system prompt goes in front unless the chat brings its own.
result<nlohmann::ordered_json> make_messages(const item_spec& spec, std::string_view where,
                                             std::string_view file) {
  auto out = nlohmann::ordered_json::array();
  if (is_set(spec.messages)) {
    LLMOS_TRY(out, read_messages(spec, where, file));
  } else {
    LLMOS_TRY(std::string text, fill(spec.prompt, "prompt", &spec.variables, file));
    out.push_back({{"role", "user"}, {"content", std::move(text)}});
  }
  LLMOS_TRY(std::string system, fill(spec.system, "system", &spec.variables, file));
  if (!system.empty() && (out.empty() || out[0]["role"] != "system")) {
    nlohmann::ordered_json message = {{"role", "system"}, {"content", std::move(system)}};
    out.insert(out.begin(), std::move(message));
  }
  return out;
}

result<void> check_texts(const item_spec& spec, text_place place, std::string_view where,
                         std::string_view file) {
  if (is_set(spec.messages)) {
    if (spec.raw) {
      return error_at(file, spec.messages.place, "raw: true takes a prompt, not messages",
                      "leave one of them out");
    }
  } else if (!is_set(spec.prompt)) {
    return error_at(where, place, "neither prompt nor messages",
                    "give the item or the defaults a prompt");
  }
  if (spec.raw && !spec.system.text.empty()) {
    return error_at(file, spec.system.place, "raw: true has no place for a system prompt",
                    "write it into the prompt, or system: \"\"");
  }
  return {};
}

}  // namespace

result<item_spec> read_item(const yaml_node& map, const item_spec& defaults,
                            std::string_view file) {
  item_spec x = defaults;
  x.prompt = x.messages = {};
  yaml_node variables;
  const auto keys = keys_of(x, variables);
  auto now = map;
  take_late(now, "", keys, x.late);
  LLMOS_TRY_VOID(assign_map(keys, now, "", file));
  LLMOS_TRY_VOID(read_variables(variables, x.variables, file));
  if (is_set(x.prompt) && is_set(x.messages)) {
    return error_at(file, x.messages.place, "both prompt and messages", "leave one of them out");
  }
  if (!is_set(x.prompt) && !is_set(x.messages)) {
    x.prompt = defaults.prompt;
    x.messages = defaults.messages;
  }
  return x;
}

result<job_item> make_item(item_spec spec, text_place place, std::string_view where,
                           std::string_view file) {
  LLMOS_TRY_VOID(assign_late(spec, where, file));
  LLMOS_TRY_VOID(check_texts(spec, place, where, file));
  if (auto fine = validate(spec.sampling, max_sampling_vocab); !fine) {
    return error_at(where, place, "sampling: " + fine.error().text, fine.error().hint);
  }
  job_item item;
  item.id = spec.id;
  item.variables = spec.variables;
  item.request.model = spec.model;
  item.request.sampling = spec.sampling;
  item.request.priority = spec.priority;
  item.request.deadline_ms = spec.deadline_ms;
  if (spec.raw) {
    LLMOS_TRY(item.request.prompt, fill(spec.prompt, "prompt", &spec.variables, file));
  } else {
    LLMOS_TRY(item.request.messages, make_messages(spec, where, file));
  }
  return item;
}

}  // namespace llmos
