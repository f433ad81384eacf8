#include "runtime/openai/api_error.hpp"

#include <iterator>

#include <nlohmann/json.hpp>

namespace llmos::openai {

namespace {

/// How long a refused client should wait: queues move within a second, a node starts within a few.
constexpr uint32_t overloaded_retry_s = 1;
constexpr uint32_t restart_retry_s = 5;

constexpr const char* request_error = "invalid_request_error";
constexpr const char* server_error = "server_error";

struct row {
  ec code;
  int status;
  const char* type;
  const char* word;
  uint32_t retry_after_s = 0;
};

constexpr row rows[] = {
    {ec::none, 500, server_error, "internal"},
    {ec::invalid_argument, 400, request_error, "invalid_value"},
    {ec::not_found, 404, request_error, "model_not_found"},
    {ec::io_error, 500, server_error, "io_error"},
    {ec::bad_file, 500, server_error, "bad_file"},
    {ec::unsupported, 400, request_error, "unsupported"},
    {ec::over_context, 400, request_error, "context_length_exceeded"},
    {ec::out_of_memory, 503, server_error, "out_of_memory", overloaded_retry_s},
    {ec::overloaded, 429, "rate_limit_error", "overloaded", overloaded_retry_s},
    {ec::cancelled, 503, server_error, "cancelled"},
    {ec::deadline_exceeded, 408, "timeout_error", "deadline_exceeded"},
    {ec::shutting_down, 503, server_error, "shutting_down", restart_retry_s},
    {ec::engine_failed, 500, server_error, "engine_failed"},
    {ec::over_limit, 400, request_error, "over_limit"},
    {ec::internal, 500, server_error, "internal"},
};
static_assert(std::size(rows) == static_cast<size_t>(ec::count_));

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(rows); ++i) {
    if (static_cast<size_t>(rows[i].code) != i) return false;
  }
  return true;
}
static_assert(in_order());

nlohmann::ordered_json text_or_null(const std::string& x) {
  return x.empty() ? nlohmann::ordered_json{} : nlohmann::ordered_json(x);
}

}  // namespace

api_error invalid(std::string param, std::string message) {
  return {400, request_error, std::move(message), std::move(param), "invalid_value"};
}

api_error unsupported(std::string param, std::string message) {
  return {400, request_error, std::move(message), std::move(param), "unsupported"};
}

api_error to_api_error(const failure& x, std::string_view text) {
  const auto i = static_cast<size_t>(x.code);  // may come from a remote byte
  const row& r = rows[i < std::size(rows) ? i : 0];
  const std::string hint = x.hint.empty() ? "" : " (" + x.hint + ")";
  std::string param(x.code == ec::over_context ? text : "");
  return {r.status, r.type, x.text + hint, std::move(param), r.word, r.retry_after_s};
}

api_error refused_by_http(int status, std::string message) {
  if (status == 408) return {status, "timeout_error", std::move(message), "", "timeout"};
  if (status == 503) {
    return {status, server_error, std::move(message), "", "overloaded", overloaded_retry_s};
  }
  return {status, status < 500 ? request_error : server_error, std::move(message), "", ""};
}

std::string render_error(const api_error& x) {
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", x.message},
                                         {"type", x.type},
                                         {"param", text_or_null(x.param)},
                                         {"code", text_or_null(x.code)}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace llmos::openai
