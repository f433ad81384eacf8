#include "actors/gateway/shell/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/base/read_file.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using json = nlohmann::ordered_json;

namespace {

generation_done ended(finish_reason reason = finish_reason::stop) {
  generation_done out;
  out.reason = reason;
  out.model = "tiny";
  out.seed = 7;
  out.usage = {31, 16, 42, 90'000, 500'000};
  return out;
}

void turn(chat_session& s, const std::string& question, const std::string& answer,
          finish_reason reason = finish_reason::stop) {
  s.ask(question);
  s.append(answer);
  s.finish(ended(reason));
}

/// "user:Hi assistant:Hello"
std::string render(const json& messages) {
  std::string out;
  for (const auto& m : messages) {
    if (!out.empty()) out += ' ';
    out += m["role"].get<std::string>() + ":" + m["content"].get<std::string>();
  }
  return out;
}

}  // namespace

TEST_SUITE("actors.gateway.shell.session") {
  TEST_CASE("the whole conversation is sent again with each question") {
    chat_session s{node_config{}};
    s.model = "tiny";
    CHECK(render(s.ask("Hi")->messages) == "user:Hi");
    s.append("Hel");
    s.append("lo");
    s.finish(ended());
    s.system = "Be kind.";
    const auto second = s.ask("And?");
    CHECK(render(second->messages) == "system:Be kind. user:Hi assistant:Hello user:And?");
    CHECK(second->model == "tiny");
    CHECK(second->prompt.empty());
  }

  TEST_CASE("a stopped answer stays as far as it came; one without text is taken back") {
    chat_session s{node_config{}};
    turn(s, "one", "par", finish_reason::cancelled);
    CHECK(render(s.messages()) == "user:one assistant:par");
    s.ask("two");
    s.finish(ended(finish_reason::cancelled));
    CHECK(render(s.messages()) == "user:one assistant:par");
    s.ask("three");
    s.append("fai");
    s.fail();
    CHECK(s.turns().back().end.reason == finish_reason::cancelled);
    s.ask("four");
    s.fail();
    CHECK(render(s.messages()) == "user:one assistant:par user:three assistant:fai");
  }

  TEST_CASE("another answer replaces the last one, and only when it has text") {
    chat_session s{node_config{}};
    CHECK(s.regenerate().error().code == ec::invalid_argument);
    turn(s, "one", "first");
    CHECK(render((*s.regenerate())->messages) == "user:one");
    s.append("second");
    s.finish(ended());
    CHECK(render(s.messages()) == "user:one assistant:second");
    REQUIRE(s.regenerate());
    s.fail();
    CHECK(render(s.messages()) == "user:one assistant:second");
    CHECK(s.turns().size() == 1);
  }

  TEST_CASE("a question that failed is asked again, also after the conversation was forgotten") {
    chat_session s{node_config{}};
    turn(s, "one", "first");
    s.ask("too long");
    s.fail();
    s.clear();
    CHECK(s.messages().empty());
    CHECK(render((*s.regenerate())->messages) == "user:too long");
  }

  TEST_CASE("a fixed seed stays for another answer; without one each request has none") {
    chat_session s{node_config{}};
    CHECK_FALSE(s.ask("one")->sampling.seed);
    s.append("x");
    s.finish(ended());
    CHECK_FALSE((*s.regenerate())->sampling.seed);
    s.fail();
    REQUIRE(s.set("seed", "5"));
    CHECK(*(*s.regenerate())->sampling.seed == 5);
  }

  TEST_CASE("settings go with the next request") {
    node_config defaults;
    defaults.sampling.temperature = 0.5f;
    defaults.sampling.logprobs = true;
    defaults.shell.system = "Be brief.";
    defaults.models.default_model = "m";
    chat_session s{defaults};
    REQUIRE(s.set("top_k", "3"));
    REQUIRE(s.set("stop", "[END, \"a b\"]"));
    REQUIRE(s.set("timing", "on"));
    const auto request = s.ask("x");
    CHECK(request->sampling.temperature == 0.5f);
    CHECK(request->sampling.top_k == 3);
    CHECK(request->sampling.stop == std::vector<std::string>{"END", "a b"});
    CHECK_FALSE(request->sampling.logprobs);
    CHECK(render(request->messages) == "system:Be brief. user:x");
    CHECK(request->model == "m");
    CHECK(s.timing);
  }

  TEST_CASE("a wrong setting is named with what is allowed, and changes nothing") {
    chat_session s{node_config{}};
    const auto before = s.show_settings();
    CHECK(to_string(s.set("temprature", "1").error()) ==
          "invalid_argument: /set: unknown key \"temprature\" (did you mean temperature?)");
    CHECK(s.set("timin", "on").error().hint == "did you mean timing?");
    CHECK(s.set("frobnicate", "1").error().hint == "/set lists the keys");
    CHECK(s.set("temperature", "hot").error().code == ec::invalid_argument);
    CHECK(s.set("temperature", "-1").error().hint == "allowed: 0 to 100");
    CHECK(s.set("temperature", "nan").error().code == ec::invalid_argument);
    CHECK(s.set("timing", "maybe").error().hint == "allowed: on or off");
    CHECK(s.set("logprobs", "true").error().code == ec::invalid_argument);
    CHECK(s.show_settings() == before);
  }

  TEST_CASE("every key can be explained and shown") {
    chat_session s{node_config{}};
    const auto all = s.show_settings();
    for (const auto& key : s.keys()) {
      CAPTURE(key);
      const auto text = s.explain(key);
      REQUIRE(text);
      CHECK(text->starts_with(key + " = "));
      CHECK(text->find("Allowed: ") != text->npos);
      CHECK(all.find(key + " ") != all.npos);
    }
    CHECK(s.explain("nothing").error().code == ec::invalid_argument);
    const auto keys = s.keys();
    CHECK(std::count(keys.begin(), keys.end(), "temperature") == 1);
    CHECK(std::count(keys.begin(), keys.end(), "logprobs") == 0);
  }

  TEST_CASE("what is shown says how answers ended") {
    chat_session s{node_config{}};
    CHECK(s.show_history() == "(nothing was said yet)\n");
    CHECK(s.show_system() == "(the model's own)\n");
    turn(s, "one", "first");
    turn(s, "two", "sec", finish_reason::cancelled);
    turn(s, "three", "thi", finish_reason::length);
    CHECK(s.show_history() ==
          ">>> one\nfirst\n>>> two\nsec\n[stopped]\n>>> three\nthi\n"
          "[cut after 42 tokens: /set max_tokens N allows more]\n");
  }

  TEST_CASE("an answer that the context ended says how to go on") {
    generation_done end;
    end.reason = finish_reason::length;
    end.context_full = true;
    end.usage.completion_tokens = 9;
    CHECK(end_line(end) == "[cut after 9 tokens: the context is full, /clear makes room]\n");
  }

  TEST_CASE("a conversation is saved as JSON that holds all of it") {
    const test::temp_dir folder;
    chat_session s{node_config{}};
    s.system = "Be kind.";
    REQUIRE(s.set("logit_bias", "{5: -1.5}"));
    turn(s, "one", "fir\"st\n", finish_reason::length);
    const auto path = folder.file("chat.json");
    CHECK(*s.save(path) == "wrote 3 messages to " + path + "\n");
    const auto read = json::parse(*read_file(path, 1 << 20));
    CHECK(read["messages"] == s.messages());
    CHECK(read["system"] == "Be kind.");
    CHECK(read["answers"][0]["finish_reason"] == "length");
    CHECK(read["answers"][0]["seed"] == 7);
    CHECK(read["answers"][0]["usage"]["cached_tokens"] == 16);
    CHECK(read["sampling"]["temperature"] == 0.8);
    CHECK(read["sampling"]["seed"].is_null());
    CHECK(read["sampling"]["logit_bias"]["5"] == -1.5);
  }

  TEST_CASE("a conversation is saved as Markdown") {
    const test::temp_dir folder;
    chat_session s{node_config{}};
    s.model = "tiny";
    turn(s, "one", "first");
    turn(s, "two", "sec", finish_reason::cancelled);
    REQUIRE(s.save(folder.file("chat.md")));
    CHECK(*read_file(folder.file("chat.md"), 1 << 20) ==
          "# Chat with tiny\n\n## User\n\none\n\n## Assistant\n\nfirst\n\n## User\n\ntwo\n\n"
          "## Assistant\n\nsec\n\n[stopped]\n");
  }

  TEST_CASE("bytes that are no UTF-8 are replaced in a saved conversation") {
    const test::temp_dir folder;
    chat_session s{node_config{}};
    s.model = "ti\xffny";
    turn(s, "one", "first");
    REQUIRE(s.save(folder.file("chat.json")));
    const auto saved = json::parse(*read_file(folder.file("chat.json"), 1 << 20));
    CHECK(saved["model"] == "ti\xef\xbf\xbdny");
  }

  TEST_CASE("saving overwrites only what this session wrote") {
    const test::temp_dir folder;
    chat_session s{node_config{}};
    const auto theirs = folder.write("theirs.md", "my notes");
    CHECK(s.save(theirs).error().text == "/save: " + theirs + " is there already");
    CHECK(*read_file(theirs, 100) == "my notes");
    REQUIRE(s.save(folder.file("ours.md")));
    turn(s, "one", "first");
    REQUIRE(s.save(folder.file("ours.md")));
    CHECK(read_file(folder.file("ours.md"), 1 << 20)->find("first") != std::string::npos);
    CHECK(s.save(folder.file("chat.txt")).error().hint == "usage: /save FILE.json|FILE.md");
    CHECK(s.save(folder.file("missing/chat.md")).error().code == ec::io_error);
  }

  TEST_CASE("the timing line has rate, first token and prompt") {
    CHECK(timing_line(ended().usage) ==
          "[42 tokens, 100.0 tokens/s, first after 0.09 s; prompt 31 tokens, 16 of them cached]\n");
  }
}
