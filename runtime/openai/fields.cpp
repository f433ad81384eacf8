#include "runtime/openai/fields.hpp"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "runtime/base/result.hpp"

namespace llmos::openai {

namespace {

/// Reads one JSON value for one key, type by type.
class json_reader {
public:
  json_reader(const config_key& key, const json& value) : key_(key), value_(value) {}

  checked operator()(bool* out) const {
    LLMOS_TRY(*out, read_bool(value_, key_.name));
    return fine;
  }

  template <class T>
  requires std::is_integral_v<T> checked operator()(T* out) const {
    LLMOS_TRY(*out, whole<T>(value_));
    return fine;
  }

  checked operator()(float* out) const {
    LLMOS_TRY(*out, fraction(value_));
    return fine;
  }

  checked operator()(std::optional<uint64_t>* out) const {
    LLMOS_TRY(*out, whole<uint64_t>(value_));
    return fine;
  }

  checked operator()(std::string* out) const {
    LLMOS_TRY(*out, read_text(value_, key_.name));
    return fine;
  }

  checked operator()(std::vector<std::string>* out) const {
    std::vector<std::string> texts;
    if (value_.is_string()) {
      LLMOS_TRY(texts.emplace_back(), list_text(value_));
    } else {
      LLMOS_TRY_VOID(check_list("a text or a list of texts"));
      for (const auto& x : value_) {
        LLMOS_TRY(texts.emplace_back(), list_text(x));
      }
    }
    *out = std::move(texts);
    return fine;
  }

  checked operator()(std::vector<token_id>* out) const {
    LLMOS_TRY_VOID(check_list("a list of token ids"));
    std::vector<token_id> ids;
    for (const auto& x : value_) {
      LLMOS_TRY(ids.emplace_back(), whole<token_id>(x));
    }
    *out = std::move(ids);
    return fine;
  }

  checked operator()(std::map<token_id, float>* out) const {
    if (!value_.is_object()) return wrong_type(key_.name, "an object {token id: bias}", value_);
    if (value_.size() > key_.rule.max_items) return too_many();
    std::map<token_id, float> biases;
    for (const auto& [name, x] : value_.items()) {
      const auto id = parse_id(name);
      if (!id)
        return invalid(key_.name, key_.name + ": '" + name.substr(0, 40) + "' is no token id");
      LLMOS_TRY(biases[*id], fraction(x));
    }
    *out = std::move(biases);
    return fine;
  }

  checked operator()(yaml_node*) const {
    return unsupported(key_.name, key_.name + " cannot be set by a request");
  }

private:
  /// Plain digits: "007" and "+7" would be further names of one token.
  static std::optional<token_id> parse_id(const std::string& name) {
    token_id id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    const bool is_plain = error == std::errc{} && std::to_string(id) == name && id >= 0;
    return is_plain ? std::optional{id} : std::nullopt;
  }

  bool in_range(double x) const {
    const auto& r = key_.rule;
    return (r.above_low ? x > r.low : x >= r.low) && x <= r.high;
  }

  api_error out_of_range(const json& x) const {
    return invalid(key_.name,
                   key_.name + ": " + describe(x) + " is out of range; allowed: " + allowed());
  }

  api_error too_many() const {
    return invalid(key_.name, key_.name + ": " + std::to_string(value_.size()) +
                                  " entries; allowed: at most " +
                                  std::to_string(key_.rule.max_items));
  }

  std::string allowed() const { return allowed_values(key_); }

  template <class T>
  outcome<T> whole(const json& x) const {
    if (!x.is_number()) return wrong_type(key_.name, "a whole number", x);
    const auto n = exact_whole<T>(x);
    if (n && in_range(static_cast<double>(*n))) return *n;
    const bool is_fraction = x.is_number_float() && std::trunc(x.get<double>()) != x.get<double>();
    if (is_fraction) return wrong_type(key_.name, "a whole number", x);
    return out_of_range(x);
  }

  /// The float it becomes has to be in range as well: 1e-60 becomes 0.
  outcome<float> fraction(const json& x) const {
    if (!x.is_number()) return wrong_type(key_.name, "a number", x);
    const auto f = x.get<double>();
    if (!in_range(f) || !in_range(static_cast<double>(static_cast<float>(f)))) {
      return out_of_range(x);
    }
    return static_cast<float>(f);
  }

  checked check_list(std::string_view expected) const {
    if (!value_.is_array()) return wrong_type(key_.name, expected, value_);
    if (value_.size() > key_.rule.max_items) return too_many();
    return fine;
  }

  outcome<std::string> list_text(const json& x) const {
    LLMOS_TRY(auto text, read_text(x, key_.name));
    if (!text.empty() && text.size() <= max_list_text_bytes) return text;
    return invalid(key_.name, key_.name + ": a text of " + std::to_string(text.size()) +
                                  " bytes; allowed: 1 to " + std::to_string(max_list_text_bytes));
  }

  const config_key& key_;
  const json& value_;
};

}  // namespace

std::string describe(const json& x) {
  switch (x.type()) {
    case json::value_t::null: return "null";
    case json::value_t::boolean: return x.get<bool>() ? "true" : "false";
    case json::value_t::string: return "a text";
    case json::value_t::array: return "a list";
    case json::value_t::object: return "an object";
    default: return x.dump();
  }
}

api_error wrong_type(const std::string& path, std::string_view expected, const json& found) {
  return invalid(path, path + ": expected " + std::string{expected} + ", found " + describe(found));
}

outcome<bool> read_bool(const json& x, const std::string& path) {
  if (x.is_boolean()) return x.get<bool>();
  return wrong_type(path, "true or false", x);
}

outcome<std::string> read_text(const json& x, const std::string& path) {
  if (x.is_string()) return x.get<std::string>();
  return wrong_type(path, "a text", x);
}

outcome<uint32_t> read_whole(const json& x, const std::string& path, uint32_t low, uint32_t high) {
  const auto n = exact_whole<uint32_t>(x);
  if (n && *n >= low && *n <= high) return *n;
  return wrong_type(
      path, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), x);
}

checked assign_json(const config_key& key, const json& value) {
  const json_reader read{key, value};
  LLMOS_TRY_VOID(std::visit([&](auto* slot) { return read(slot); }, key.slot));
  if (key.asked != nullptr) *key.asked = true;
  return fine;
}

std::string at(const std::string& path, size_t i) {
  return path + "[" + std::to_string(i) + "]";
}

checked check_object(const json& x, const std::string& path) {
  if (x.is_object()) return fine;
  return wrong_type(path, "an object", x);
}

checked check_list(const json& x, const std::string& path) {
  if (!x.is_array()) return wrong_type(path, "a list", x);
  if (x.empty()) return invalid(path, path + " is empty");
  return fine;
}

outcome<std::string> required_text(const json& object, std::string_view name,
                                   const std::string& path) {
  const std::string whole = path + "." + std::string{name};
  const json* x = find_given(object, name);
  if (x == nullptr) return invalid(whole, whole + " is missing");
  return read_text(*x, whole);
}

checked check_names(const json& object, std::span<const std::string_view> known,
                    const std::string& path) {
  for (const auto& [name, x] : object.items()) {
    if (x.is_null() || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string whole = path + "." + name.substr(0, 64);
    return unsupported(whole, whole + " is not supported");
  }
  return fine;
}

const json* find_given(const json& object, std::string_view name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

}  // namespace llmos::openai
