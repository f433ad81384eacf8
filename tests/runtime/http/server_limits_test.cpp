#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <string>

#include "runtime/http/server.hpp"
#include "tests/support/allocation_meter.hpp"
#include "tests/support/http_rig.hpp"

using namespace llmos;
using std::chrono::milliseconds;
using test::get;
using test::http_client;
using test::http_rig;
using test::post;

namespace {

/// The status of what the server answers, which then closes.
int status_of(http_rig& rig, const std::string& bytes) {
  http_client client{rig.port()};
  client.send(bytes);
  const auto got = client.read_response();
  CHECK(got.has("Connection: close"));
  CHECK(client.read_to_end().empty());
  return got.status();
}

/// A server that answers everything at once.
std::unique_ptr<http_server> answering_server(const http_server_options& options) {
  auto started = http_server::start(
      options, [](http_request, auto exchange) { exchange->respond(200, {}, "yes"); });
  REQUIRE(started.ok());
  return *std::move(started);
}

http_server_options small_limits() {
  http_server_options out;
  out.max_header_bytes = 2048;
  out.max_target_bytes = 1024;
  out.max_body_bytes = 1000;
  return out;
}

}  // namespace

TEST_SUITE("runtime.http.server_limits") {
  TEST_CASE("what is no request, or too much of one, gets its status") {
    http_rig rig{small_limits()};
    const std::string host = "Host: x\r\n";
    const std::string long_text(3000, 'a');
    struct row {
      std::string bytes;
      int status;
    };
    const row rows[] = {
        {"\x16\x03\x01\x02 hello\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHo st: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + "Content-Length: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "\r\n", 411},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\n" + host + "Expect: the moon\r\n\r\n", 417},
        {"GET /" + long_text + " HTTP/1.1\r\n", 414},
        {"GET /" + long_text.substr(0, 1024) + " HTTP/1.1\r\n" + host + "\r\n", 414},
        {"GET / HTTP/1.1\r\nX: " + long_text + "\r\n\r\n", 431},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1001\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775808\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
         413},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n200\r\n" +
             long_text.substr(0, 512) + "\r\n200\r\n" + long_text.substr(0, 512) + "\r\n",
         413},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" + long_text, 400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
         400},
    };
    for (const row& r : rows) {
      CAPTURE(r.bytes.substr(0, 100));
      CHECK(status_of(rig, r.bytes) == r.status);
    }
    CHECK(rig.is_empty());
  }

  TEST_CASE("headers are limited all together, also where each comes by itself") {
    http_rig rig{small_limits()};
    http_client client{rig.port()};
    client.send("GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 2000; ++i) client.send("X: y\r\n");
    client.send("\r\n");
    CHECK(client.read_response().status() == 431);
    CHECK(rig.is_empty());
  }

  TEST_CASE("a body of just the limit is taken, one more byte is told while it still comes") {
    http_rig rig{small_limits()};
    http_client client{rig.port()};
    REQUIRE(client.send(post("/", std::string(1000, 'x'))));
    auto [request, exchange] = rig.take();
    CHECK(request.body.size() == 1000);
    exchange->respond(200, {}, "");
    CHECK(client.read_response().status() == 200);
    // A client that sends on all the same does not lose the answer to a reset.
    client.send(post("/", std::string(20u << 20, 'x')));
    CHECK(client.read_response().status() == 413);
  }

  TEST_CASE("an error's body can be the caller's") {
    http_server_options options;
    options.error_body = [](int status, const std::string& why) {
      return http_error_body{"application/json", std::to_string(status) + why};
    };
    http_rig rig{options};
    http_client client{rig.port()};
    REQUIRE(client.send("POST / HTTP/1.1\r\nHost: x\r\n\r\n"));
    const auto got = client.read_response();
    CHECK(got.has("Content-Type: application/json"));
    CHECK(got.body == "411the length of the body is missing: send Content-Length");
  }

  TEST_CASE("a request that does not come to its end in time is answered 408") {
    http_server_options options;
    options.read_timeout = milliseconds{50};
    http_rig rig{options};
    for (const char* part : {"G", "GET / HTTP/1.1\r\nHost:",
                             "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"}) {
      CAPTURE(part);
      CHECK(status_of(rig, part) == 408);
    }
    http_client silent{rig.port()};
    CHECK(silent.read_to_end().empty());
    // The next request of a connection has its own time, which begins with its first byte.
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    rig.take().second->respond(200, {}, "");
    CHECK(client.read_response().status() == 200);
    REQUIRE(client.send("GET /"));
    CHECK(client.read_response().status() == 408);
  }

  TEST_CASE("an idle connection is closed without a word") {
    http_server_options options;
    options.idle_timeout = milliseconds{50};
    http_rig rig{options};
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    rig.take().second->respond(200, {}, "");
    CHECK(client.read_response().status() == 200);
    CHECK(client.read_to_end().empty());
  }

  TEST_CASE("neither time runs while an answer is awaited") {
    http_server_options options;
    options.idle_timeout = options.read_timeout = milliseconds{20};
    options.write_timeout = milliseconds{20};
    http_rig rig{options};
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    // Another client's time runs out meanwhile.
    http_client silent{rig.port()};
    CHECK(silent.read_to_end().empty());
    exchange->respond(200, {}, "late");
    CHECK(client.read_response().body == "late");
  }

  TEST_CASE("a client that does not read is cut off at the limit of what waits for it") {
    http_server_options options;
    options.max_buffered_bytes = 1u << 20;
    http_rig rig{options};
    http_client client{rig.port(), 4096};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    std::promise<void> told;
    exchange->on_gone([&] { told.set_value(); });
    exchange->start(200, {});
    const std::string piece(64u << 10, 'x');
    const test::allocation_meter meter;
    size_t most = 0;
    while (exchange->write(piece)) most = std::max(most, exchange->buffered_bytes());
    exchange->end();  // which it did not, for the client
    told.get_future().get();
    CHECK(most <= options.max_buffered_bytes + 100);
    CHECK(meter.peak_bytes() < 4 * options.max_buffered_bytes);
    CHECK(exchange->buffered_bytes() == 0);
  }

  TEST_CASE("a client that does not read is cut off when nothing moves for too long") {
    http_server_options options;
    options.write_timeout = milliseconds{50};
    options.max_buffered_bytes = 64u << 20;
    http_rig rig{options};
    http_client client{rig.port(), 4096};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    std::promise<void> told;
    exchange->on_gone([&] { told.set_value(); });
    exchange->start(200, {});
    CHECK(exchange->write(std::string(32u << 20, 'x')));
    told.get_future().get();
    CHECK_FALSE(exchange->write("more"));
  }

  TEST_CASE("what a client sends before its answer waits, and little of it here") {
    http_rig rig{small_limits()};
    http_client client{rig.port()};
    REQUIRE(client.send(get("/first")));
    auto exchange = rig.take().second;
    std::string many;
    for (int i = 0; i < 1000; ++i) many += get("/more");
    const test::allocation_meter meter;
    REQUIRE(client.send(many));
    CHECK(rig.is_empty());
    CHECK(meter.peak_bytes() < many.size());
    exchange->respond(200, {}, "");
    for (int i = 0; i < 1000; ++i) rig.take().second->respond(200, {}, "");
    for (int i = 0; i < 1001; ++i) REQUIRE(client.read_response().status() == 200);
  }

  TEST_CASE("bodies that are being read are limited all together") {
    http_server_options options;
    options.max_incoming_bytes = 1000;
    const auto server = answering_server(options);
    http_client first{server->port()};
    const std::string body(600, 'x');
    REQUIRE(first.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 700\r\n\r\n" + body));
    const auto status_of_another = [&] {
      http_client another{server->port()};
      another.send(post("/", body));
      return another.read_response().status();
    };
    while (status_of_another() != 503) continue;  // until the first one's bytes have been read
    REQUIRE(first.send(std::string(100, 'x')));
    CHECK(first.read_response().status() == 200);
    CHECK(status_of_another() == 200);  // what was read whole counts no more
  }

  TEST_CASE("one client too many is answered 503, until another one leaves") {
    http_server_options options;
    options.max_connections = 2;
    const auto server = answering_server(options);
    http_client first{server->port()}, second{server->port()};
    for (http_client* x : {&first, &second}) {
      REQUIRE(x->send(get("/")));
      CHECK(x->read_response().status() == 200);
    }
    const auto status_of_another = [&] {
      http_client another{server->port()};
      another.send(get("/"));
      return another.read_response().status();
    };
    CHECK(status_of_another() == 503);
    CHECK(status_of_another() == 503);
    second.close();
    while (status_of_another() != 200) continue;  // until the server has seen it
    REQUIRE(first.send(get("/")));
    CHECK(first.read_response().status() == 200);
  }
}
