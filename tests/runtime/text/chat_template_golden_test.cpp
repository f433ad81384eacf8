#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.hpp"
#include "tests/support/scale.hpp"

namespace {

using json = nlohmann::ordered_json;

// 2025-07-20 08:26:40, as in tools/reference/template_oracle.py.
constexpr std::chrono::sys_seconds now{std::chrono::seconds{1753000000}};

std::string read_file(const std::string& name) {
  std::ifstream in("tests/golden/templates/" + name, std::ios::binary);
  REQUIRE_MESSAGE(in, "tests/golden/templates/" << name << " is missing");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

json read_json(const std::string& name) {
  return json::parse(read_file(name));
}

/// What came out, in the form of a golden case.
json outcome(const std::string& source, const llmos::template_input& input) {
  const auto failed = [](const llmos::failure& f) {
    return json{{"error", llmos::to_string(f.code)}, {"text", f.text}};
  };
  const auto parsed = llmos::chat_template::parse(source);
  if (!parsed) return failed(parsed.error());
  const auto rendered = parsed.value().render(input);
  if (!rendered) return failed(rendered.error());
  return json{{"output", rendered.value()}};
}

void check_case(const json& wanted, const json& got) {
  CHECK(got.value("output", "") == wanted.value("output", ""));
  CHECK(got.value("error", "none") == wanted.value("error", "none"));
  if (wanted.contains("raised")) CHECK(got["text"] == wanted["raised"]);
}

llmos::template_input chat_input(const json& conversation, bool add_generation_prompt) {
  llmos::template_input input;
  input.messages = &conversation["messages"];
  if (conversation.contains("tools")) input.tools = &conversation["tools"];
  if (conversation.contains("extra")) input.extra = &conversation["extra"];
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.add_generation_prompt = add_generation_prompt;
  input.now = now;
  return input;
}

void check_small_cases(const json& golden, size_t count) {
  const json no_messages = json::array();
  llmos::template_input input;
  input.messages = &no_messages;
  input.extra = &golden["variables"];
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.now = now;
  for (size_t i = 0; i < count; ++i) {
    const json& one = golden["cases"][i];
    const std::string source = one["template"];
    CAPTURE(source);
    check_case(one, outcome(source, input));
  }
}

}  // namespace

TEST_SUITE("runtime.text.chat_template_golden") {
  TEST_CASE("chat templates of the field render every conversation as jinja2 does") {
    const json conversations = read_json("conversations.json");
    std::map<std::string, std::string> sources;
    const json chats = read_json("chats.json");
    for (const json& one : chats["cases"]) {
      const std::string name = one["template"], conversation = one["conversation"];
      std::string& source = sources[name];
      if (source.empty()) source = read_file("chat/" + name + ".jinja");
      CAPTURE(name);
      CAPTURE(conversation);
      check_case(one, outcome(source, chat_input(conversations[conversation],
                                                 one["add_generation_prompt"])));
    }
  }

  TEST_CASE("every construct, filter, test and method does what jinja2 does") {
    const json golden = read_json("cases.json");
    check_small_cases(golden, golden["cases"].size());
  }

  TEST_CASE("random templates do what jinja2 does") {
    const json golden = read_json("random.json");
    check_small_cases(
        golden, static_cast<size_t>(llmos::test::scaled(static_cast<int>(golden["cases"].size()))));
  }
}
