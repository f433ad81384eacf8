#include "runtime/gguf/inspect.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/gguf_writer.hpp"

using namespace llmos;
using namespace llmos::test;

namespace {

gguf_writer sample() {
  return gguf_writer{}
      .add_kv("general.architecture", "llama")
      .add_kv("eps", 1e-5f)
      .add_kv("on", true)
      .add_kv("minus", int32_t{-3})
      .add_kv("few", std::vector<int32_t>{1, 2})
      .add_kv("many", std::vector<std::string>(20, "word"))
      .add_tensor("w", tensor_type::q4_0, {64, 2}, random_blocks(tensor_type::q4_0, 128, 1, 1))
      .add_tensor("b", tensor_type::f32, {4}, random_blocks(tensor_type::f32, 4, 1, 1));
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_SUITE("runtime.gguf.inspect") {
  TEST_CASE("the text lists metadata, tensors and totals") {
    const auto bytes = sample().bytes();
    const auto text = describe(*gguf_file::parse(bytes, "m.gguf").value());
    CAPTURE(text);
    CHECK(has_line(text, "m.gguf: GGUF v3, " + std::to_string(bytes.size()) +
                             " bytes, 6 metadata entries, 2 tensors, alignment 32"));
    CHECK(has_line(text, "  general.architecture  string      \"llama\""));
    CHECK(has_line(text, "  eps                   f32         1e-05"));
    CHECK(has_line(text, "  on                    bool        true"));
    CHECK(has_line(text, "  minus                 i32         -3"));
    CHECK(has_line(text, "  few                   i32[2]      [1, 2]"));
    CHECK(text.find("string[20]  [\"word\", \"word\"") != std::string::npos);
    CHECK(text.find("\"word\", …]") != std::string::npos);
    CHECK(has_line(text, "  w  Q4_0    64 x 2              72 bytes"));
    CHECK(has_line(text, "  b  F32     4                   16 bytes"));
    CHECK(text.find("72 bytes   4.500 bits/weight") != std::string::npos);
    CHECK(text.find("  all            2 tensors              132 weights               88 bytes") !=
          std::string::npos);
  }

  TEST_CASE("the JSON form holds the same for a program") {
    const auto bytes = sample().bytes();
    const auto json = describe_json(*gguf_file::parse(bytes, "m.gguf").value());
    CHECK(json["version"] == 3);
    CHECK(json["file_bytes"] == bytes.size());
    CHECK(json["metadata"]["general.architecture"]["value"] == "llama");
    CHECK(json["metadata"]["eps"]["value"].dump() == "1e-05");
    CHECK(json["metadata"]["on"]["value"] == true);
    CHECK(json["metadata"]["minus"]["value"] == -3);
    CHECK(json["metadata"]["many"]["count"] == 20);
    CHECK(json["metadata"]["many"]["element_type"] == "string");
    CHECK(json["metadata"]["many"]["first"].size() == 8);
    CHECK(json["tensors"][0].dump() == R"({"name":"w","type":"Q4_0","shape":[64,2],"bytes":72})");
    CHECK(json["totals"][1].dump() ==
          R"({"type":"Q4_0","tensors":1,"weights":128,"bytes":72,"bits_per_weight":4.5})");
  }

  TEST_CASE("bytes that are no UTF-8, control characters and NaN break neither form") {
    const auto bytes = gguf_writer{}
                           .add_kv("bad \xff\x1b key", "bad \xc3 \x1b[2J value")
                           .add_kv("bad \xfe\x1b key", "another")
                           .add_kv("nan", std::numeric_limits<double>::quiet_NaN())
                           .add_kv("inf", std::numeric_limits<float>::infinity())
                           .add_kv("list", std::vector<std::string>{"\xff"})
                           .add_tensor("t\xff\n", {1}, std::vector<float>{1})
                           .bytes();
    const auto file = gguf_file::parse(bytes, "dir\xff/m.gguf").value();
    const auto text = describe(*file);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\xff') == std::string::npos);
    CHECK(text.find("bad \\xff\\x1b key") != std::string::npos);
    CHECK(text.find("t\\xff\\n") != std::string::npos);

    const auto again = nlohmann::json::parse(describe_json(*file).dump());
    CHECK(again["metadata"].size() == 5);
    CHECK(again["metadata"]["nan"]["value"] == "nan");
    CHECK(again["metadata"]["inf"]["value"] == "inf");
    CHECK(again["tensors"][0]["name"] == "t\xef\xbf\xbd\n");
  }

  TEST_CASE("long strings are cut in both forms, a chat template stays whole in JSON") {
    const auto bytes = gguf_writer{}
                           .add_kv("template", std::string(20'000, 't'))
                           .add_kv("huge", std::string(200'000, 'h'))
                           .bytes();
    const auto file = gguf_file::parse(bytes, "m.gguf").value();
    CHECK(describe(*file).size() < 1000);
    const auto json = describe_json(*file);
    CHECK(json["metadata"]["template"]["value"].get<std::string>().size() == 20'000);
    CHECK(json["metadata"]["huge"]["value"].get<std::string>() == std::string(64 << 10, 'h') + "…");
  }

  TEST_CASE("a vocabulary alone has no tensor table") {
    const auto bytes = gguf_writer{}.add_kv("a", "b").bytes();
    const auto text = describe(*gguf_file::parse(bytes, "v.gguf").value());
    CHECK(text.find("tensors (") == std::string::npos);
  }
}
