#include "runtime/http/server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/support/http_rig.hpp"

using namespace llmos;
using test::get;
using test::http_client;
using test::http_rig;
using test::post;

TEST_SUITE("runtime.http.server") {
  TEST_CASE("a request arrives whole and its answer goes back") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(post("/v1/x?y=z", "the body", "X-Key: Value\r\n")));
    auto [request, exchange] = rig.take();
    CHECK(request.method == "POST");
    CHECK(request.path == "/v1/x");
    CHECK(request.query == "y=z");
    CHECK(request.header("x-key") == "Value");
    CHECK(request.body == "the body");
    CHECK(request.peer.starts_with("127.0.0.1:"));
    exchange->respond(200, {{"Content-Type", "text/plain"}}, "the answer");
    const auto got = client.read_response();
    CHECK(got.status() == 200);
    CHECK(got.has("Content-Type: text/plain"));
    CHECK_FALSE(got.has("Connection: close"));
    CHECK(got.head.find("\r\nDate: ") != got.head.npos);
    CHECK(got.body == "the answer");
    CHECK(rig.server->num_connections() == 1);
  }

  TEST_CASE("a connection serves one request after the other") {
    http_rig rig;
    http_client client{rig.port()};
    for (int i = 0; i < 5; ++i) {
      REQUIRE(client.send("\r\n" + get("/" + std::to_string(i))));
      auto [request, exchange] = rig.take();
      exchange->respond(200, {}, request.path);
      CHECK(client.read_response().body == "/" + std::to_string(i));
    }
  }

  TEST_CASE("requests that come at once are answered in their order") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/1") + post("/2", "body") + get("/3")));
    auto first = rig.take();
    CHECK(rig.is_empty());  // the second waits for the first answer
    first.second->start(200, {});
    first.second->write("one");
    first.second->end();
    CHECK(client.read_response().body == "one");
    auto second = rig.take();
    CHECK(second.first.body == "body");
    second.second->respond(200, {}, "two");
    rig.take().second->respond(200, {}, "three");
    CHECK(client.read_response().body == "two");
    CHECK(client.read_response().body == "three");
  }

  TEST_CASE("a head and a body may come byte by byte, a body in chunks") {
    http_rig rig;
    http_client client{rig.port()};
    for (const char c : post("/", "slow")) REQUIRE(client.send({&c, 1}));
    auto [request, exchange] = rig.take();
    CHECK(request.body == "slow");
    exchange->respond(200, {}, "");
    CHECK(client.read_response().status() == 200);
    REQUIRE(
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"));
    auto chunked = rig.take();
    CHECK(chunked.first.body == "abc0123456789abcdef");
    CHECK_FALSE(chunked.first.header("trailer"));
    chunked.second->respond(200, {}, "");
    CHECK(client.read_response().status() == 200);
  }

  TEST_CASE("an answer streams in chunks as it is written") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->start(200, {{"Content-Type", "text/event-stream"}});
    const auto head = client.read_until("\r\n\r\n");
    CHECK(head.find("Transfer-Encoding: chunked\r\n") != head.npos);
    CHECK(exchange->write("data: 1\n\n"));
    CHECK(client.read_until("1\n\n\r\n") == "9\r\ndata: 1\n\n\r\n");
    CHECK(exchange->write(""));
    CHECK(exchange->write(std::string(100'000, 'x')));
    exchange->end();
    CHECK(client.read_until("\r\n0\r\n\r\n") ==
          "186a0\r\n" + std::string(100'000, 'x') + "\r\n0\r\n\r\n");
    REQUIRE(client.send(get("/again")));
    rig.take().second->respond(200, {}, "again");
    CHECK(client.read_response().body == "again");
  }

  TEST_CASE("answers may be written by any thread") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->start(200, {});
    {
      std::vector<std::jthread> writers;
      for (int i = 0; i < 4; ++i) {
        writers.emplace_back([&] {
          for (int k = 0; k < 500; ++k) exchange->write("abc");
        });
      }
    }
    exchange->end();
    CHECK(client.read_response().body.size() == 4 * 500 * 3);
  }

  TEST_CASE("HEAD and answers without a body have none") {
    http_rig rig;
    http_client client{rig.port()};
    const std::string head = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
    REQUIRE(client.send(head + head + get("/") + get("/")));
    rig.take().second->respond(200, {}, "hidden");
    auto streamed = rig.take().second;
    streamed->start(200, {});
    CHECK(streamed->write("hidden"));
    streamed->end();
    rig.take().second->respond(204, {}, "");
    rig.take().second->respond(200, {}, "shown");
    CHECK(client.read_until("\r\n\r\n").find("Content-Length: 6\r\n") != std::string::npos);
    CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(client.read_until("\r\n\r\n").find("Content-Length") == std::string::npos);
    CHECK(client.read_response().body == "shown");
  }

  TEST_CASE("HTTP/1.0 and Connection: close end the connection behind the answer") {
    http_rig rig;
    {
      http_client client{rig.port()};
      REQUIRE(client.send("GET / HTTP/1.0\r\n\r\n"));
      auto exchange = rig.take().second;
      exchange->start(200, {});
      exchange->write("plain");
      exchange->end();
      const auto all = client.read_to_end();
      CHECK(all.find("chunked") == all.npos);
      CHECK(all.ends_with("Connection: close\r\n\r\nplain"));
    }
    {
      http_client client{rig.port()};
      REQUIRE(client.send(get("/", "Connection: close\r\n")));
      rig.take().second->respond(200, {}, "bye");
      CHECK(client.read_to_end().ends_with("Connection: close\r\n\r\nbye"));
    }
    http_client client{rig.port()};
    for (int i = 0; i < 2; ++i) {
      REQUIRE(client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
      rig.take().second->respond(200, {}, "stay");
      CHECK(client.read_response().has("Connection: keep-alive"));
    }
  }

  TEST_CASE("a body is asked for where the client waits to be asked") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    REQUIRE(client.send("body"));
    auto [request, exchange] = rig.take();
    CHECK(request.body == "body");
    exchange->respond(200, {}, "thanks");
    CHECK(client.read_response().body == "thanks");
  }

  TEST_CASE("who waits for the end of an answer hears that the client went away") {
    http_rig rig;
    for (const bool by_reset : {false, true}) {
      for (const bool is_streaming : {false, true}) {
        CAPTURE(by_reset);
        CAPTURE(is_streaming);
        http_client client{rig.port()};
        REQUIRE(client.send(get("/")));
        auto exchange = rig.take().second;
        if (is_streaming) exchange->start(200, {});
        std::promise<void> told;
        std::atomic<int> count = 0;
        exchange->on_gone([&] {
          ++count;
          told.set_value();
        });
        by_reset ? client.reset() : client.close();
        told.get_future().get();
        CHECK_FALSE(exchange->write("into the void"));
        exchange->end();
        CHECK(exchange->buffered_bytes() == 0);
        // Who asks later hears it as well.
        std::promise<void> told_again;
        exchange->on_gone([&] { told_again.set_value(); });
        told_again.get_future().get();
        CHECK(count == 1);
      }
    }
  }

  TEST_CASE("a client that ends its side counts as gone while it is answered") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->start(200, {});
    std::promise<void> told;
    exchange->on_gone([&] { told.set_value(); });
    client.end();
    told.get_future().get();
    CHECK_FALSE(client.read_to_end().ends_with("0\r\n\r\n"));
  }

  TEST_CASE("nobody is told when the answer has ended") {
    http_rig rig;
    const auto held = std::make_shared<int>(0);
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->on_gone([held, exchange] { FAIL("told"); });
    exchange->respond(200, {}, "whole");
    CHECK(held.use_count() == 1);  // nor is what was to be told kept
    CHECK(client.read_response().body == "whole");
    client.close();
    exchange->on_gone([] { FAIL("told"); });
  }

  TEST_CASE("an exchange that is dropped answers 500, or cuts its stream off") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    rig.take().second.reset();
    CHECK(client.read_response().status() == 500);
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->start(200, {});
    exchange->write("half");
    client.read_until("half\r\n");
    exchange.reset();
    CHECK(client.read_to_end().empty());
  }

  TEST_CASE("many clients at once") {
    http_rig rig;
    std::vector<std::jthread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&rig, i] {
        for (int k = 0; k < 20; ++k) {
          http_client client{rig.port()};
          const std::string body = std::to_string(i) + " " + std::to_string(k);
          client.send(post("/", body));
          CHECK(client.read_response().body == body);
        }
      });
    }
    for (int i = 0; i < 8 * 20; ++i) {
      auto [request, exchange] = rig.take();
      exchange->respond(200, {}, request.body);
    }
  }
}
