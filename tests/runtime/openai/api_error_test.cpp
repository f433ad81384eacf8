#include "runtime/openai/api_error.hpp"

#include <doctest/doctest.h>

using namespace llmos;
using namespace llmos::openai;

TEST_SUITE("runtime.openai.api_error") {
  TEST_CASE("each failure has the status and code that clients act upon") {
    struct row {
      ec code;
      int status;
      const char* word;
      uint32_t retry_after_s;
    };
    const row rows[] = {
        {ec::invalid_argument, 400, "invalid_value", 0},
        {ec::unsupported, 400, "unsupported", 0},
        {ec::over_context, 400, "context_length_exceeded", 0},
        {ec::over_limit, 400, "over_limit", 0},
        {ec::not_found, 404, "model_not_found", 0},
        {ec::deadline_exceeded, 408, "deadline_exceeded", 0},
        {ec::overloaded, 429, "overloaded", 1},
        {ec::shutting_down, 503, "shutting_down", 5},
        {ec::out_of_memory, 503, "out_of_memory", 1},
        {ec::cancelled, 503, "cancelled", 0},
        {ec::engine_failed, 500, "engine_failed", 0},
        {ec::internal, 500, "internal", 0},
        {ec::count_, 500, "internal", 0},
    };
    for (const row& r : rows) {
      CAPTURE(r.word);
      const api_error got = to_api_error({r.code, "text", ""});
      CHECK(got.status == r.status);
      CHECK(got.code == r.word);
      CHECK(got.retry_after_s == r.retry_after_s);
    }
  }

  TEST_CASE("the counts of a text and its hint reach the client") {
    const api_error got = to_api_error(
        {ec::over_context, "9000 prompt tokens and max_tokens 10 exceed 8192", "shorten it"},
        "messages");
    CHECK(got.message == "9000 prompt tokens and max_tokens 10 exceed 8192 (shorten it)");
    CHECK(got.param == "messages");
    CHECK(to_api_error({ec::overloaded, "", ""}, "messages").param.empty());
  }

  TEST_CASE("what HTTP refuses says whether to try again") {
    const api_error full = refused_by_http(503, "there are too many connections");
    CHECK(full.type == "server_error");
    CHECK(full.code == "overloaded");
    CHECK(full.retry_after_s == 1);
    CHECK(refused_by_http(408, "late").type == "timeout_error");
    CHECK(refused_by_http(413, "large").type == "invalid_request_error");
  }

  TEST_CASE("a body is OpenAI's, null where there is nothing, and always UTF-8") {
    CHECK(render_error(invalid("top_p", "top_p: \"2\"")) ==
          R"({"error":{"message":"top_p: \"2\"","type":"invalid_request_error",)"
          R"("param":"top_p","code":"invalid_value"}})");
    CHECK(render_error({500, "server_error", "a\xff", "", "", 0}) ==
          "{\"error\":{\"message\":\"a\xef\xbf\xbd\",\"type\":\"server_error\","
          "\"param\":null,\"code\":null}}");
  }
}
