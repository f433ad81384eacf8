#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "runtime/base/nearest.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/config/keys.hpp"

namespace llmos {

namespace {

constexpr size_t max_text_bytes = 1u << 20;

template <class T>
constexpr bool is_whole_number = std::is_integral_v<T> && !std::is_same_v<T, bool>;

/// A number that fits T exactly, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

bool looks_whole(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "512MiB" → 512 and 2^20; a text without a unit is returned as it is, with 1.
std::pair<std::string_view, uint64_t> split_byte_unit(std::string_view text) {
  constexpr std::pair<std::string_view, uint64_t> units[] = {
      {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}};
  for (const auto& [name, bytes] : units) {
    if (text.ends_with(name)) return {text.substr(0, text.size() - name.size()), bytes};
  }
  return {text, 1};
}

/// Reads one YAML value for one key, type by type; the first complaint is the result.
class value_reader {
public:
  value_reader(const config_key& key, std::string_view file) : key_(key), file_(file) {}

  result<void> operator()(bool* out, const yaml_node& x) const {
    if (x.type != yaml_node::kind::scalar || x.quoted || (x.text != "true" && x.text != "false")) {
      return wrong(x, "true or false");
    }
    *out = x.text == "true";
    return {};
  }

  template <class T>
  requires is_whole_number<T> result<void>
  operator()(T* out, const yaml_node& x) const {
    LLMOS_TRY(*out, whole<T>(x));
    return {};
  }

  result<void> operator()(float* out, const yaml_node& x) const {
    LLMOS_TRY(*out, fraction(x));
    return {};
  }

  result<void> operator()(std::optional<uint64_t>* out, const yaml_node& x) const {
    if (x.type == yaml_node::kind::null) {
      out->reset();
      return {};
    }
    LLMOS_TRY(*out, whole<uint64_t>(x));
    return {};
  }

  result<void> operator()(std::string* out, const yaml_node& x) const {
    if (x.type != yaml_node::kind::scalar && x.type != yaml_node::kind::null) {
      return wrong(x, key_.rule.choices.empty() ? "a text" : "one of the allowed words");
    }
    const auto& choices = key_.rule.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), x.text) == choices.end()) {
      return wrong(x, "one of the allowed words");
    }
    if (x.text.size() > max_text_bytes) return wrong(x, "a text of at most 1 MiB");
    if (first_invalid_utf8(x.text)) return wrong(x, "valid UTF-8");
    *out = x.text;
    return {};
  }

  result<void> operator()(std::vector<std::string>* out, const yaml_node& x) const {
    LLMOS_TRY(*out, list<std::string>(x, [this](const yaml_node& i) { return list_text(i); }));
    return {};
  }

  result<void> operator()(std::vector<token_id>* out, const yaml_node& x) const {
    LLMOS_TRY(*out, list<token_id>(x, [this](const yaml_node& i) { return whole<token_id>(i); }));
    return {};
  }

  result<void> operator()(yaml_node* out, const yaml_node& x) const {
    *out = x;
    return {};
  }

  result<void> operator()(std::map<token_id, float>* out, const yaml_node& x) const {
    if (x.type != yaml_node::kind::map || x.fields.size() > key_.rule.max_items) {
      return wrong(x, "a map {id: value}");
    }
    std::map<token_id, float> biases;
    for (const auto& f : x.fields) {
      const auto id = parse_number<token_id>(f.key);
      if (!id || *id < 0) return complain(f.place, quote_short(f.key) + " is no token id");
      LLMOS_TRY(const float bias, fraction(f.value));
      if (!biases.emplace(*id, bias).second) {
        return complain(f.place, "token " + f.key + " stands here twice");
      }
    }
    *out = std::move(biases);
    return {};
  }

private:
  failure complain(text_place place, const std::string& what) const {
    const std::string text = key_.name + ": " + what;
    const std::string hint = "allowed: " + allowed_values(key_);
    if (file_.empty()) return {ec::invalid_argument, text, hint};
    return error_at(file_, place, text, hint);
  }

  failure wrong(const yaml_node& x, const std::string& expected) const {
    return complain(x.place, "expected " + expected + ", found " + describe(x));
  }

  bool in_range(double x) const {
    const auto& r = key_.rule;
    return (r.above_low ? x > r.low : x >= r.low) && x <= r.high;
  }

  template <class T>
  result<T> whole(const yaml_node& x) const {
    const auto [digits, unit] = key_.unit == "bytes"
                                    ? split_byte_unit(x.text)
                                    : std::pair{std::string_view{x.text}, uint64_t{1}};
    if (x.type != yaml_node::kind::scalar || x.quoted || !looks_whole(digits)) {
      return wrong(x, "a whole number");
    }
    auto value = parse_number<T>(digits);
    if (value && __builtin_mul_overflow(*value, unit, &*value)) value.reset();
    if (!value || !in_range(static_cast<double>(*value))) {
      return complain(x.place, describe_number(x) + " is out of range");
    }
    return *value;
  }

  result<float> fraction(const yaml_node& x) const {
    if (x.type != yaml_node::kind::scalar || x.quoted) return wrong(x, "a number");
    const auto value = parse_number<double>(x.text);
    const bool is_special = x.text == ".nan" || x.text == ".NaN" || x.text.ends_with(".inf");
    if (is_special || (value && !std::isfinite(*value))) return wrong(x, "a finite number");
    if (!value) return wrong(x, "a number");
    if (!in_range(*value)) return complain(x.place, describe_number(x) + " is out of range");
    return static_cast<float>(*value);
  }

  static std::string describe_number(const yaml_node& x) {
    return x.text.size() <= 40 ? x.text : quote_short(x.text);
  }

  result<std::string> list_text(const yaml_node& x) const {
    if (x.type != yaml_node::kind::scalar) return wrong(x, "a text");
    if (x.text.empty() || x.text.size() > max_list_text_bytes) {
      return complain(x.place, std::to_string(x.text.size()) + " bytes in one text");
    }
    if (first_invalid_utf8(x.text)) return wrong(x, "valid UTF-8");
    return x.text;
  }

  /// A list, or one value without brackets.
  template <class T, class ReadItem>
  result<std::vector<T>> list(const yaml_node& x, ReadItem read_item) const {
    std::vector<T> out;
    if (x.type == yaml_node::kind::scalar) {
      LLMOS_TRY(out.emplace_back(), read_item(x));
      return out;
    }
    if (x.type != yaml_node::kind::sequence) return wrong(x, "a list");
    if (x.items.size() > key_.rule.max_items) {
      return complain(x.place, std::to_string(x.items.size()) + " entries");
    }
    for (const auto& item : x.items) {
      LLMOS_TRY(out.emplace_back(), read_item(item));
    }
    return out;
  }

  const config_key& key_;
  std::string_view file_;
};

std::vector<std::string> names_of(const std::vector<config_key>& keys, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& key : keys) {
    if (key.name.starts_with(prefix)) names.push_back(key.name.substr(prefix.size()));
  }
  return names;
}

/// The words that may stand directly under `prefix`: keys and sections.
std::vector<std::string> words_under(const std::vector<config_key>& keys,
                                     const std::string& prefix) {
  std::vector<std::string> words;
  for (const auto& name : names_of(keys, prefix)) {
    auto word = name.substr(0, name.find('.'));
    if (words.empty() || words.back() != word) words.push_back(std::move(word));
  }
  return words;
}

failure unknown_field(const std::vector<config_key>& keys, const yaml_field& field,
                      const std::string& prefix, std::string_view file) {
  const auto words = words_under(keys, prefix);
  const std::string what = "unknown key " + quote_short(prefix + field.key);
  if (const auto near = nearest_name(field.key, words)) {
    return error_at(file, field.place, what, "did you mean " + prefix + *near + "?");
  }
  if (const auto near = nearest_name(field.key, names_of(keys, ""))) {
    return error_at(file, field.place, what,
                    "did you mean " + *near + "? Each dot is a level of indentation");
  }
  std::string known;
  for (const auto& word : words) known += (known.empty() ? "" : ", ") + word;
  return error_at(file, field.place, what, "known here: " + known);
}

}  // namespace

result<void> assign(const config_key& key, const yaml_node& value, std::string_view file) {
  const value_reader read{key, file};
  LLMOS_TRY_VOID(std::visit([&](auto* slot) { return read(slot, value); }, key.slot));
  if (key.asked != nullptr) *key.asked = true;
  return {};
}

result<void> assign_text(const config_key& key, std::string_view value) {
  yaml_node node;
  if (std::holds_alternative<std::string*>(key.slot)) {
    node.type = yaml_node::kind::scalar;
    node.text = value;
    return assign(key, node);
  }
  auto parsed = parse_yaml(value, key.name);
  if (!parsed) {
    return failure{ec::invalid_argument, key.name + ": cannot read " + quote_short(value),
                   "allowed: " + allowed_values(key)};
  }
  return assign(key, *parsed);
}

result<config_key> find_key(const std::vector<config_key>& keys, std::string_view name) {
  const auto it = std::find_if(keys.begin(), keys.end(),
                               [name](const config_key& k) { return k.name == name; });
  if (it != keys.end()) return *it;
  const auto near = nearest_name(name, names_of(keys, ""));
  return failure{ec::not_found, "unknown key " + quote_short(name),
                 near ? "did you mean " + *near + "?" : "configs/node.yaml names every key"};
}

result<void> assign_map(const std::vector<config_key>& keys, const yaml_node& map,
                        const std::string& prefix, std::string_view file) {
  if (map.type == yaml_node::kind::null) return {};  // a section with nothing in it
  if (map.type != yaml_node::kind::map) {
    const auto name = prefix.empty() ? "the file" : prefix.substr(0, prefix.size() - 1);
    return error_at(file, map.place, name + ": expected a map of keys, found " + describe(map),
                    "write key: value, one per line");
  }
  for (const auto& field : map.fields) {
    const auto name = prefix + field.key;
    const auto is_key = [&](const config_key& k) { return k.name == name; };
    const auto is_in_section = [&](const config_key& k) { return k.name.starts_with(name + "."); };
    const bool dotted = field.key.find('.') != field.key.npos;
    if (const auto key = std::find_if(keys.begin(), keys.end(), is_key);
        key != keys.end() && !dotted) {
      LLMOS_TRY_VOID(assign(*key, field.value, file));
    } else if (!dotted && std::any_of(keys.begin(), keys.end(), is_in_section)) {
      LLMOS_TRY_VOID(assign_map(keys, field.value, name + ".", file));
    } else {
      return unknown_field(keys, field, prefix, file);
    }
  }
  return {};
}

}  // namespace llmos
