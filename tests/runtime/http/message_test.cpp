#include "runtime/http/message.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.http.message") {
  TEST_CASE("a target has a path and a query") {
    struct row {
      const char* target;
      const char* path;
      const char* query;
    };
    for (const row& r :
         {row{"/", "/", ""}, row{"/v1/models?a=b?c", "/v1/models", "a=b?c"}, row{"/a?", "/a", ""},
          row{"http://host:80/a/b?q", "/a/b", "q"}, row{"https://host", "/", ""},
          row{"http://host?q", "/", "q"}, row{"*", "*", ""}, row{"", "/", ""}}) {
      CAPTURE(r.target);
      const auto [path, query] = split_target(r.target);
      CHECK(path == r.path);
      CHECK(query == r.query);
    }
  }

  TEST_CASE("percent signs stand for bytes") {
    CHECK(percent_decode("/a%2fb%C3%bc+%25") == "/a/b\u00fc+%");
    CHECK(percent_decode("") == "");
    for (const char* text : {"%", "%4", "%g0", "%0g", "a%"}) {
      CAPTURE(text);
      CHECK_FALSE(percent_decode(text));
    }
  }

  TEST_CASE("a head has the date, the caller's headers and how the body ends") {
    CHECK(render_head(200, {{"Content-Type", "text/plain"}}, {.content_length = 5}, 784'111'777) ==
          "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
          "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
    CHECK(render_head(429, {}, {.is_chunked = true, .keeps_alive = false}, 0) ==
          "HTTP/1.1 429 Too Many Requests\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
          "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    CHECK(render_head(204, {}, {.is_http_1_0 = true}, 0) ==
          "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
          "Connection: keep-alive\r\n\r\n");
  }

  TEST_CASE("a header cannot begin another one") {
    const auto head = render_head(200, {{"X", std::string{"a\r\nSet-Cookie: b\0c", 18}}}, {}, 0);
    CHECK(head.find("X: a  Set-Cookie: b c\r\n\r\n") != head.npos);
  }

  TEST_CASE("a header is found by its name in lower case") {
    http_request r;
    r.headers = {{"host", "x"}, {"a", "1"}, {"a", "2"}};
    CHECK(r.header("a") == "1");
    CHECK_FALSE(r.header("b"));
  }
}
