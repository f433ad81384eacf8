#include "runtime/jobs/csv.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

std::string render(const std::vector<csv_row>& rows) {
  std::string out;
  for (const auto& row : rows) {
    out += std::to_string(row.line) + ":";
    for (const auto& field : row.fields) out.append("<").append(field).append(">");
    out += " ";
  }
  return out;
}

std::string quoted(const std::string& field) {
  std::string out(1, '"');
  for (const char c : field) out.append(c == '"' ? 2 : 1, c);
  out.push_back('"');
  return out;
}

}  // namespace

TEST_SUITE("runtime.jobs.csv") {
  TEST_CASE("rows and fields are read as RFC 4180 has them") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"nothing", "", ""},
        {"one field", "a", "1:<a> "},
        {"line ends", "a,b\r\nc,d\ne,f", "1:<a><b> 2:<c><d> 3:<e><f> "},
        {"empty fields", ",\n,,\n", "1:<><> 2:<><><> "},
        {"a trailing comma", "a,", "1:<a><> "},
        {"quoted commas and quotes", "\"a,b\",\"c\"\"d\"\n", "1:<a,b><c\"d> "},
        {"quoted line ends", "\"a\nb\r\nc\",x\ny,z\n", "1:<a\nb\r\nc><x> 4:<y><z> "},
        {"quoted nothing", "\"\"\n", "1:<> "},
        {"empty lines", "\n\na\n\r\n\nb\n\n", "3:<a> 6:<b> "},
        {"byte order mark",
         "\xef\xbb\xbf"
         "a,b\n",
         "1:<a><b> "},
        {"a quoted first field after it", "\xef\xbb\xbf\"a\",b\n", "1:<a><b> "},
        {"blanks are kept", " a , b \n", "1:< a >< b > "},
        {"a lone carriage return is text", "a\rb\n", "1:<a\rb> "},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_csv(r.text, "f.csv");
      REQUIRE(got.ok());
      CHECK(render(*got) == r.want);
    }
  }

  TEST_CASE("broken quoting is named with its place") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"never closed", "a\nb,\"c\nd\n", "f.csv:2:3: a quoted field that never ends"},
        {"a quote inside", "a\nbc\"d\"\n",
         "f.csv:2:3: a quote inside a field that does not start with one"},
        {"text after it", "\"a\"b,c\n", "f.csv:1:4: text after a quoted field"},
        {"text after quoted lines", "\"a\nb\"c\n", "f.csv:2:3: text after a quoted field"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_csv(r.text, "f.csv");
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text == r.want);
      CHECK(!got.error().hint.empty());
    }
  }

  TEST_CASE("what is written quoted is read back, whatever it holds") {
    std::mt19937 rng{3};
    const std::string alphabet = "ab,\"\n\r ;";
    for (int i = 0; i < test::scaled(5000); ++i) {
      std::vector<std::string> fields(1 + rng() % 4);
      std::string text;
      for (auto& field : fields) {
        for (uint32_t n = rng() % 6; n > 0; --n) field += alphabet[rng() % alphabet.size()];
        text.append(text.empty() ? "" : ",").append(quoted(field));
      }
      const auto got = parse_csv(text + "\r\n", "f.csv");
      REQUIRE(got.ok());
      REQUIRE(got->size() == 1);
      REQUIRE((*got)[0].fields == fields);
    }
  }
}
