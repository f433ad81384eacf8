#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "runtime/base/error.hpp"

namespace llmos::openai {

/// What a client is told about a request that failed: an HTTP status and OpenAI's error body.
struct api_error {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::string param;           ///< The field at fault, "messages[2].content"; empty: none.
  std::string code;            ///< A word for programs; empty: none.
  uint32_t retry_after_s = 0;  ///< For the Retry-After header; 0: no such header.

  friend bool operator==(const api_error&, const api_error&) = default;
};

/// A value, or why the client does not get it. Works with LLMOS_TRY.
template <class T>
class [[nodiscard]] outcome {
public:
  outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  outcome(api_error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// REQUIRES: ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }

  /// REQUIRES: !ok().
  const api_error& error() const& { return std::get<1>(state_); }
  api_error&& error() && { return std::get<1>(std::move(state_)); }

private:
  std::variant<T, api_error> state_;
};

/// Success without a value.
using checked = outcome<std::monostate>;
inline constexpr std::monostate fine{};

/// 400 with code "invalid_value": the client must change the field.
api_error invalid(std::string param, std::string message);

/// 400 with code "unsupported": well-formed, but not done here.
api_error unsupported(std::string param, std::string message);

/// The error of a request that the node could not do. Texts keep their counts and hints. `text`:
/// the field with what the model is to read, at fault where that is too long.
api_error to_api_error(const failure& x, std::string_view text = {});

/// What HTTP itself refuses: too large, too slow, too many.
api_error refused_by_http(int status, std::string message);

/// {"error": {"message", "type", "param", "code"}}
std::string render_error(const api_error& x);

}  // namespace llmos::openai
