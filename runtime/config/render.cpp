#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "runtime/config/keys.hpp"

namespace llmos {

namespace {

std::string render_number(double x) {
  if (x >= 0x1p64) return std::to_string(std::numeric_limits<uint64_t>::max());
  char buffer[32];
  // Whole numbers read better without an exponent; the others get their shortest form.
  const bool whole = x == std::floor(x) && std::abs(x) < 1e20;
  const auto end = whole
                       ? std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed)
                       : std::to_chars(buffer, buffer + sizeof buffer, x);
  return {buffer, end.ptr};
}

std::string render_float(float x) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, x).ptr};
}

std::string quote(const std::string& text) {
  return nlohmann::json(text).dump();
}

template <class List, class Render>
std::string render_list(const List& items, Render render) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + render(item);
  return out;
}

/// One overload per slot type: the value as YAML.
struct value_writer {
  const config_key& key;

  std::string operator()(const bool* x) const { return *x ? "true" : "false"; }
  std::string operator()(const float* x) const { return render_float(*x); }
  std::string operator()(const std::string* x) const {
    return key.rule.choices.empty() ? quote(*x) : *x;
  }
  std::string operator()(const std::optional<uint64_t>* x) const {
    return *x ? std::to_string(**x) : "null";
  }
  std::string operator()(const std::vector<std::string>* x) const {
    return "[" + render_list(*x, quote) + "]";
  }
  std::string operator()(const std::vector<token_id>* x) const {
    return "[" + render_list(*x, [](token_id id) { return std::to_string(id); }) + "]";
  }
  std::string operator()(const yaml_node* x) const { return describe(*x); }
  std::string operator()(const std::map<token_id, float>* x) const {
    const auto entry = [](const auto& e) {
      return std::to_string(e.first) + ": " + render_float(e.second);
    };
    return "{" + render_list(*x, entry) + "}";
  }
  template <class T>
  requires std::is_integral_v<T> std::string operator()(const T* x) const {
    return std::to_string(*x);
  }
};

std::string range_text(const value_rule& rule) {
  const auto low = render_number(rule.low), high = render_number(rule.high);
  return rule.above_low ? "above " + low + ", up to " + high : low + " to " + high;
}

std::string choice_text(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i != 0) out += i + 1 == names.size() ? " or " : ", ";
    out += names[i];
  }
  return out;
}

/// One overload per slot type: what may be written.
struct rule_writer {
  const config_key& key;

  std::string operator()(const bool*) const { return "true or false"; }
  std::string operator()(const std::string*) const {
    return key.rule.choices.empty() ? "any text" : choice_text(key.rule.choices);
  }
  std::string operator()(const std::optional<uint64_t>*) const {
    return "null or " + range_text(key.rule);
  }
  std::string operator()(const std::vector<std::string>*) const {
    return "a list of up to " + std::to_string(key.rule.max_items) + " texts of 1 to " +
           std::to_string(max_list_text_bytes) + " bytes";
  }
  std::string operator()(const std::vector<token_id>*) const {
    return "a list of up to " + std::to_string(key.rule.max_items) + " token ids";
  }
  std::string operator()(const std::map<token_id, float>*) const {
    return "a map {id: value} of up to " + std::to_string(key.rule.max_items) +
           " token ids, values " + range_text(key.rule);
  }
  std::string operator()(const yaml_node*) const { return std::string{key.doc}; }
  template <class Number>
  std::string operator()(const Number*) const {
    const auto range = range_text(key.rule) + (key.unit.empty() ? "" : " ") + std::string{key.unit};
    return key.unit == "bytes" ? range + ", also with KiB, MiB, GiB or TiB" : range;
  }
};

struct section {
  std::string_view name;
  std::string_view doc;
};

constexpr std::array sections = {
    section{"models", "Which model answers and where models lie."},
    section{"engine", "How a model is run."},
    section{"kernel", "Limits of the whole node."},
    section{"sampling",
            "How tokens are chosen where a request says nothing. A request's own values win."},
    section{"log", "What is logged, and where."},
    section{"shell", "The interactive chat."},
    section{"remote", "How services connect to llmos serve."},
    section{"http", "How clients of OpenAI's protocol connect to llmos serve."},
};

std::string section_of(const config_key& key) {
  return key.name.substr(0, key.name.find('.'));
}

std::string section_head(const std::string& name) {
  for (const auto& s : sections) {
    if (s.name == name) return "\n# " + std::string{s.doc} + "\n" + name + ":\n";
  }
  LLMOS_CHECK(!"every section has a sentence");
  return {};
}

}  // namespace

std::string render_value(const config_key& key) {
  return std::visit([&](auto* slot) { return value_writer{key}(slot); }, key.slot);
}

std::string allowed_values(const config_key& key) {
  return std::visit([&](auto* slot) { return rule_writer{key}(slot); }, key.slot);
}

std::string to_yaml(const node_config& config) {
  node_config shown = config, defaults;
  const auto keys = keys_of(shown), default_keys = keys_of(defaults);
  std::string out =
      "# Configuration of one llmos node. Every key may be left out; it then has its default.\n"
      "#   llmos --config FILE run \"Hello\"            uses a file like this one\n"
      "#   llmos --set engine.threads=2 run \"Hello\"  sets a single key\n"
      "#   llmos config                               prints what is in effect, like this\n";
  std::string open_section;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& key = keys[i];
    if (section_of(key) != open_section) {
      open_section = section_of(key);
      out += section_head(open_section);
    }
    out += "  # " + std::string{key.doc} + "\n  # Allowed: " + allowed_values(key) +
           ". Default: " + render_value(default_keys[i]) + ".\n  " +
           key.name.substr(open_section.size() + 1) + ": " + render_value(key) + "\n";
  }
  return out;
}

}  // namespace llmos
