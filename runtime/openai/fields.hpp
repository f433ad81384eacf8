#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/config/keys.hpp"
#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

/// "a text", "3.5": what a client sent, short enough for an error.
std::string describe(const json& x);

/// "temperature: expected a number, found a text"
api_error wrong_type(const std::string& path, std::string_view expected, const json& found);

outcome<bool> read_bool(const json& x, const std::string& path);
outcome<std::string> read_text(const json& x, const std::string& path);

/// A number exactly as it was sent: 5 and 5.0 are whole, a float beyond 2^53 is not, for it may
/// have been rounded. nullopt: no whole number, or none that T holds.
template <class T>
std::optional<T> exact_whole(const json& x) {
  if (x.is_number_unsigned()) {
    const auto n = x.get<uint64_t>();
    return std::in_range<T>(n) ? std::optional<T>{static_cast<T>(n)} : std::nullopt;
  }
  if (x.is_number_float()) {
    const auto f = x.get<double>();
    if (std::trunc(f) != f || std::abs(f) > 0x1p53) return std::nullopt;
    const auto n = static_cast<int64_t>(f);
    return std::in_range<T>(n) ? std::optional<T>{static_cast<T>(n)} : std::nullopt;
  }
  if (!x.is_number_integer()) return std::nullopt;
  const auto n = x.get<int64_t>();
  return std::in_range<T>(n) ? std::optional<T>{static_cast<T>(n)} : std::nullopt;
}

/// A whole number in [low, high].
outcome<uint32_t> read_whole(const json& x, const std::string& path, uint32_t low, uint32_t high);

/// Assigns a JSON value to a key of the configuration's tables: their types and ranges hold for
/// clients as well. Nothing changes when it is refused.
checked assign_json(const config_key& key, const json& value);

/// "messages[3]"
std::string at(const std::string& path, size_t i);

checked check_object(const json& x, const std::string& path);
/// A list with something in it.
checked check_list(const json& x, const std::string& path);
/// Every field that is given has to be known here.
checked check_names(const json& object, std::span<const std::string_view> known,
                    const std::string& path);

/// A text that has to be there.
outcome<std::string> required_text(const json& object, std::string_view name,
                                   const std::string& path);

/// The value of an object's field, or nullptr: absent and null are the same.
const json* find_given(const json& object, std::string_view name);

}  // namespace llmos::openai
