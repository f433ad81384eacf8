#include "actors/gateway/shell/render.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("actors.gateway.shell.render") {
  TEST_CASE("generations are a table in the order of their ids") {
    CHECK(render_processes({}) == "no generation runs\n");
    CHECK(render_processes({{{12}, "local", "tiny", "running", 100, 7, 1500},
                            {{3}, "local", "", "loading", 0, 0, 40}}) ==
          "ID  STATE    PROMPT  NEW  AGE    OWNER  MODEL\n"
          "3   loading  0       0    0.0 s  local  \n"
          "12  running  100     7    1.5 s  local  tiny\n");
  }

  TEST_CASE("models are a table with the default marked") {
    CHECK(render_models({}) == "no models (tools/get-model fetches the default model)\n");
    CHECK(render_models({{"a", "/m/a.gguf", "on disk", "", 1023, false},
                         {"smol", "/m/s.gguf", "loaded", "llama 135M", 98362432, true}}) ==
          "   NAME  STATE    SIZE      WHAT\n"
          "   a     on disk  1023 B    \n"
          "*  smol  loaded   93.8 MiB  llama 135M\n");
    CHECK(render_model({"smol", "/m/s.gguf", "loaded", "llama 135M", 98362432, true}) ==
          "smol (llama 135M, 93.8 MiB) is ready\n");
  }

  TEST_CASE("text cannot steer the terminal") {
    struct row {
      const char* name;
      std::string text;
      std::string want;
    };
    const row table[] = {
        {"plain", "a\tb\nc \\ ä 日 \xf0\x9f\x98\x80", "a\tb\nc \\ ä 日 \xf0\x9f\x98\x80"},
        {"escape sequences", "\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"},
        {"carriage return and backspace", "a\rb\b", "a\\x0db\\x08"},
        {"C1 controls",
         "\xc2\x9b"
         "2J",
         "\\xc2\\x9b"
         "2J"},
        {"no UTF-8", "\xff", "\\xff"},
        {"delete", "\x7f", "\\x7f"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(terminal_text(r.text) == r.want);
    }
  }
}
