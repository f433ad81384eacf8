#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/config/yaml.hpp"

namespace llmos {

/// Where a key's value is kept; its type decides what may be written. A yaml_node takes anything:
/// its owner reads it.
using config_slot = std::variant<bool*, uint32_t*, int32_t*, uint64_t*, float*, std::string*,
                                 std::optional<uint64_t>*, std::vector<std::string>*,
                                 std::vector<token_id>*, std::map<token_id, float>*, yaml_node*>;

/// What a value may be. Numbers: low <= x <= high (low < x when `above_low`). Texts: one of
/// `choices` unless empty. Lists: at most `max_items`, texts in them 1..256 bytes.
struct value_rule {
  double low = 0;
  double high = 0;
  bool above_low = false;
  std::vector<std::string> choices;
  size_t max_items = 0;
};

/// Longest text in a list of texts.
constexpr size_t max_list_text_bytes = 256;

/// One configuration key bound to the object that holds its value.
struct config_key {
  std::string name;  ///< "engine.threads"
  config_slot slot;
  value_rule rule;
  std::string_view unit;  ///< "tokens", "ms", "bytes"; empty: none.
  std::string_view doc;   ///< One sentence for configs/node.yaml and --help.
  bool* asked = nullptr;  ///< Set when a value is assigned: tells a wish from a default.
};

/// Every key of `x`, in the order of configs/node.yaml: the one place that knows names, types,
/// ranges, units and meanings. The keys point into `x`. Sampling keys have no "sampling." in the
/// second form.
std::vector<config_key> keys_of(node_config& x);
std::vector<config_key> keys_of(sampling_params& x);
/// "priority", of a request.
config_key priority_key(int32_t& x);

/// "0 to 1024 tokens", "auto, cpu or reference": what the key takes.
std::string allowed_values(const config_key& key);

/// The value as YAML ("0.8", "\"text\"", "[]", "null").
std::string render_value(const config_key& key);

/// Assigns a YAML value. Errors: bad_file with the place of what is wrong in `file`, or, when
/// `file` is empty, invalid_argument; both name key, value and what is allowed. Nothing changes
/// then.
result<void> assign(const config_key& key, const yaml_node& value, std::string_view file = "");

/// Assigns what a person typed on a command line: text as it stands, everything else as YAML.
result<void> assign_text(const config_key& key, std::string_view value);

/// The key of that name. Errors: not_found naming the nearest one.
result<config_key> find_key(const std::vector<config_key>& keys, std::string_view name);

/// Assigns every field of a map; `prefix` ("sampling.") stands before its keys in the table.
/// Errors: bad_file with the place in `file`.
result<void> assign_map(const std::vector<config_key>& keys, const yaml_node& map,
                        const std::string& prefix, std::string_view file);

/// The configuration as a commented YAML file: what configs/node.yaml is for the defaults.
std::string to_yaml(const node_config& config);

}  // namespace llmos
