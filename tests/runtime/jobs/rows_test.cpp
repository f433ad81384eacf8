#include "runtime/jobs/rows.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

std::string render(const std::vector<data_row>& rows) {
  std::string out;
  for (const auto& row : rows) {
    out += std::to_string(row.line) + ":";
    for (const auto& [name, value] : row.values) out += name + "=" + value.dump() + ";";
    out += " ";
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.jobs.rows") {
  TEST_CASE("the first row of a table names the variables") {
    const auto got = parse_rows("name,city\nAda,\"Lon\ndon\"\n\nBob,\n", "f.csv");
    REQUIRE(got.ok());
    CHECK(render(*got) == R"(2:city="Lon\ndon";name="Ada"; 5:city="";name="Bob"; )");
    CHECK(got->at(0).places.at("city") == text_place{2, 5});
    CHECK(got->at(1).places.at("name") == text_place{5, 1});
    CHECK(parse_rows("a,b\n", "f.csv")->empty());
  }

  TEST_CASE("each line of JSONL is an object") {
    const auto got = parse_rows(
        "\xef\xbb\xbf{\"s\": \"x\\ny\", \"n\": 1.5, \"b\": true}\r\n\n  \n{\"l\": [1, {\"k\": "
        "null}]}",
        "f.jsonl");
    REQUIRE(got.ok());
    CHECK(render(*got) == R"(1:b=true;n=1.5;s="x\ny"; 4:l=[1,{"k":null}]; )");
  }

  TEST_CASE("what is no record is named with its line") {
    struct row {
      const char* name;
      std::string file, text, want;
    };
    const std::string deep = std::string(200, '[') + std::string(200, ']');
    const row table[] = {
        {"no header", "f.csv", "", "f.csv:1:1: no row"},
        {"unnamed column", "f.csv", "a,\n", "f.csv:1:1: a column without a name"},
        {"a name twice", "f.csv", "\na,b,a\n", "f.csv:2:1: two columns are called \"a\""},
        {"a short row", "f.csv", "a,b\n1,2\n3\n", "f.csv:3:1: 1 fields, but the first row has 2"},
        {"broken quoting", "f.csv", "a\n\"x\n", "f.csv:2:1: a quoted field that never ends"},
        {"no JSON", "f.jsonl", "{\"a\": 1}\n{a: 1}\n", "f.jsonl:2:2: no valid JSON"},
        {"a cut line", "f.jsonl", "{\"a\": ", "f.jsonl:1:7: no valid JSON"},
        {"no object", "f.jsonl", "[1]\n", "f.jsonl:1:1: no JSON object"},
        {"too deep", "f.jsonl", "{\"a\": " + deep + "}",
         "f.jsonl:1:134: nested deeper than 128 levels"},
        {"invalid UTF-8", "f.jsonl", "{}\n{\"a\": \"\xff\"}\n", "f.jsonl:2:1: invalid UTF-8"},
        {"UTF-16", "f.csv",
         "\xff\xfe"
         "a",
         "f.csv:1:1: invalid UTF-8"},
        {"another extension", "f.txt", "a\n", "f.txt is neither .csv nor .jsonl"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_rows(r.text, r.file);
      REQUIRE(!got.ok());
      CHECK(got.error().text == r.want);
    }
  }

  TEST_CASE("too many rows are refused") {
    std::string csv = "a\n", jsonl;
    for (size_t i = 0; i < max_rows; ++i) {
      csv += "x\n";
      jsonl += "{}\n";
    }
    CHECK(parse_rows(csv, "f.csv")->size() == max_rows);
    CHECK(parse_rows(csv + "x\n", "f.csv").error().text == "f.csv:100002:1: more than 100000 rows");
    CHECK(parse_rows(jsonl, "f.jsonl")->size() == max_rows);
    CHECK(parse_rows(jsonl + "{}", "f.jsonl").error().text ==
          "f.jsonl:100001:1: more than 100000 rows");
  }

  TEST_CASE("files are read by path") {
    const test::temp_dir folder;
    CHECK(load_rows(folder.write("a.csv", "x\n1\n"))->size() == 1);
    CHECK(load_rows(folder.file("none.csv")).error().code == ec::not_found);
  }
}
