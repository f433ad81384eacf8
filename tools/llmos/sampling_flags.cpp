#include "tools/llmos/sampling_flags.hpp"

#include <algorithm>

#include "runtime/config/keys.hpp"

namespace llmos {

namespace {

bool is_list(const config_key& key) {
  return std::holds_alternative<std::vector<std::string>*>(key.slot) ||
         std::holds_alternative<std::vector<token_id>*>(key.slot);
}

bool is_bias(const config_key& key) {
  return std::holds_alternative<std::map<token_id, float>*>(key.slot);
}

/// "--top-p" of "top_p", last and after shorter ones; lists are named for one of their entries.
std::string option_name(const config_key& key) {
  if (key.name == "max_tokens") return "-n,--max-tokens";
  if (key.name == "temperature") return "--temp,--temperature";
  if (key.name == "stop_token_ids") return "--stop-token";
  std::string name = "--" + key.name;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string value_name(const config_key& key) {
  if (is_bias(key)) return "ID=VALUE";
  if (key.name == "stop") return "TEXT";
  if (key.name == "stop_token_ids") return "ID";
  return std::holds_alternative<float*>(key.slot) ? "X" : "N";
}

std::string description(const config_key& key) {
  std::string out{key.doc};
  if (out.ends_with('.')) out.pop_back();
  if (is_list(key) || is_bias(key)) return out + " (may be repeated)";
  const bool has_range = key.rule.high > key.rule.low && key.rule.high <= 1000;
  return has_range ? out + " (" + allowed_values(key) + ")" : out;
}

yaml_node scalar(const std::string& text) {
  yaml_node x;
  x.type = yaml_node::kind::scalar;
  x.text = text;
  return x;
}

/// ID=VALUE, each, as a map.
result<yaml_node> bias_map(const config_key& key, const std::vector<std::string>& values) {
  yaml_node map;
  map.type = yaml_node::kind::map;
  for (const auto& text : values) {
    const auto equals = text.find('=');
    if (equals == text.npos) {
      return failure{ec::invalid_argument, key.name + ": " + quote_short(text) + " is no ID=VALUE",
                     "write for example --logit-bias 42=-5"};
    }
    map.fields.push_back({text.substr(0, equals), {}, scalar(text.substr(equals + 1))});
  }
  return map;
}

result<yaml_node> value_of(const config_key& key, const std::vector<std::string>& values) {
  if (is_bias(key)) return bias_map(key, values);
  if (!is_list(key)) return scalar(values.back());
  yaml_node list;
  list.type = yaml_node::kind::sequence;
  for (const auto& text : values) list.items.push_back(scalar(text));
  return list;
}

}  // namespace

void add_sampling_flags(CLI::App& app, sampling_flags& flags) {
  sampling_params defaults;
  for (const auto& key : keys_of(defaults)) {
    const auto keep = [&flags, name = key.name](const std::vector<std::string>& values) {
      flags[name] = values;
    };
    CLI::Option* option = nullptr;
    if (std::holds_alternative<bool*>(key.slot)) {
      option = app.add_flag_callback(
          option_name(key), [&flags, name = key.name] { flags[name] = {"true"}; },
          description(key));
    } else {
      option = app.add_option_function<std::vector<std::string>>(option_name(key), keep,
                                                                 description(key))
                   ->type_name(value_name(key))
                   ->allow_extra_args(false);
    }
    option->group("Sampling (what is not given comes from sampling.* of the configuration)");
  }
}

result<void> apply(const sampling_flags& flags, sampling_params& params) {
  for (auto& key : keys_of(params)) {
    const auto given = flags.find(key.name);
    if (given == flags.end()) continue;
    const auto name = option_name(key);
    key.name = name.substr(name.rfind("--"));
    LLMOS_TRY(const yaml_node value, value_of(key, given->second));
    LLMOS_TRY_VOID(assign(key, value));
  }
  return {};
}

}  // namespace llmos
