#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "runtime/http/server.hpp"
#include "tests/support/http_rig.hpp"

using namespace llmos;
using std::chrono::milliseconds;
using test::get;
using test::http_client;
using test::http_rig;

TEST_SUITE("runtime.http.server_stop") {
  TEST_CASE("an address or port that cannot be had is named") {
    http_server_options options;
    options.address = "localhost";
    const auto no_address = http_server::start(options, {});
    REQUIRE_FALSE(no_address.ok());
    CHECK(no_address.error().code == ec::invalid_argument);
    CHECK(no_address.error().text == "'localhost' is no IP address");

    const http_rig rig;
    options.address = "127.0.0.1";
    options.port = rig.port();
    const auto in_use = http_server::start(options, {});
    REQUIRE_FALSE(in_use.ok());
    CHECK(in_use.error().code == ec::io_error);
    CHECK(in_use.error().text == "cannot listen on 127.0.0.1 port " + std::to_string(rig.port()) +
                                     ": Address already in use");
  }

  TEST_CASE("a server that stops lets answers end and closes the idle") {
    http_rig rig;
    http_client idle{rig.port()}, busy{rig.port()};
    REQUIRE(idle.send(get("/")));
    rig.take().second->respond(200, {}, "");
    CHECK(idle.read_response().status() == 200);
    REQUIRE(busy.send(get("/")));
    auto exchange = rig.take().second;
    std::jthread stopping{[&] { rig.server->stop(std::chrono::minutes{1}); }};
    CHECK(idle.read_to_end().empty());
    exchange->respond(200, {}, "the last one");
    const auto got = busy.read_response();
    CHECK(got.body == "the last one");
    CHECK(got.has("Connection: close"));
    CHECK(busy.read_to_end().empty());
    busy.close();
    stopping.join();
    CHECK(rig.server->num_connections() == 0);
  }

  TEST_CASE("a server that drains says when the last answer is out") {
    http_rig rig;
    http_client idle{rig.port()}, busy{rig.port()};
    REQUIRE(idle.send(get("/")));
    rig.take().second->respond(200, {}, "");
    CHECK(idle.read_response().status() == 200);
    REQUIRE(busy.send(get("/")));
    auto exchange = rig.take().second;
    std::promise<void> ended;
    auto end = ended.get_future();
    rig.server->drain([&] { ended.set_value(); });
    CHECK(idle.read_to_end().empty());
    const std::string large(32u << 20, 'x');  // more than sockets hold
    exchange->respond(200, {}, large);
    CHECK(end.wait_for(milliseconds{0}) == std::future_status::timeout);
    CHECK(busy.read_response().body == large);
    busy.close();
    end.wait();
    CHECK(rig.server->num_connections() == 0);
    rig.server->stop(milliseconds{0});
  }

  TEST_CASE("a server without connections has drained at once") {
    http_rig rig;
    std::promise<void> ended;
    rig.server->drain([&] { ended.set_value(); });
    ended.get_future().wait();
  }

  TEST_CASE("behind the time that answers have, they are cut off and their owners told") {
    http_rig rig;
    http_client client{rig.port()};
    REQUIRE(client.send(get("/")));
    auto exchange = rig.take().second;
    exchange->start(200, {});
    bool told = false;
    exchange->on_gone([&] { told = true; });
    rig.server->stop(milliseconds{20});
    CHECK(told);
    CHECK_FALSE(exchange->write("late"));
    bool told_at_once = false;
    exchange->on_gone([&] { told_at_once = true; });
    CHECK(told_at_once);
    client.read_to_end();
  }

  TEST_CASE("an exchange may outlive its server") {
    std::shared_ptr<http_exchange> exchange;
    {
      http_rig rig;
      http_client client{rig.port()};
      REQUIRE(client.send(get("/")));
      exchange = rig.take().second;
    }
    exchange->start(200, {});
    CHECK_FALSE(exchange->write("x"));
    exchange->end();
  }

  TEST_CASE("a handler may answer at once, on the server's thread") {
    auto server = http_server::start({}, [](http_request request, auto exchange) {
      exchange->start(200, {});
      exchange->write(request.path);
      exchange->end();
    });
    REQUIRE(server.ok());
    http_client client{(*server)->port()};
    std::string many;
    for (int i = 0; i < 200; ++i) many += get("/x");
    REQUIRE(client.send(many));
    client.end();  // whose answers are ready still get out
    CHECK(client.read_response().body == "/x");
    (*server)->stop(milliseconds{0});
    (*server)->stop(milliseconds{0});
  }
}
