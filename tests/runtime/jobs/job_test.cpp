#include "runtime/jobs/job.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

/// id, prompt or messages, and what was said about sampling, for comparison.
std::string render(const job_item& x) {
  const auto& r = x.request;
  std::string out = x.id + " ";
  out += r.messages.is_null() ? "raw:" + r.prompt : r.messages.dump();
  if (!r.model.empty()) out += " model=" + r.model;
  if (r.priority != 0) out += " priority=" + std::to_string(r.priority);
  if (r.deadline_ms != 0) out += " deadline=" + std::to_string(r.deadline_ms);
  return out;
}

std::string refused(const std::string& text) {
  const auto got = parse_job(text, "dir/job.yaml", {});
  REQUIRE(!got.ok());
  CHECK(got.error().code == ec::bad_file);
  return got.error().text;
}

}  // namespace

TEST_SUITE("runtime.jobs.job") {
  TEST_CASE("an output that is one of the job's inputs is refused, whatever its name") {
    const test::temp_dir folder;
    folder.write("rows.csv", "a\n1\n");
    std::filesystem::create_hard_link(folder.file("rows.csv"), folder.file("link.csv"));
    std::filesystem::create_symlink("job.yaml", folder.file("link.yaml"));
    const auto load = [&](const std::string& output) {
      const auto text = "defaults: {prompt: '{{ a }}'}\nitems_from: rows.csv\noutput: " + output;
      return load_job(folder.write("job.yaml", text), {});
    };
    for (const auto* name : {"rows.csv", "link.csv", "./rows.csv"}) {
      CAPTURE(name);
      CHECK(load(name).error().text.find("is the job's items_from") != std::string::npos);
    }
    for (const auto* name : {"job.yaml", "link.yaml"}) {
      CAPTURE(name);
      CHECK(load(name).error().text.find("is the job itself") != std::string::npos);
    }
    folder.write("out.jsonl", "a\n1\n");
    CHECK(load("out.jsonl").ok());
    CHECK(load("new.jsonl").ok());
  }

  TEST_CASE("items are made from their own words and the defaults") {
    const auto job = parse_job(R"(
model: tiny
concurrency: 2
output: out.jsonl
defaults:
  system: Speak {{ language }}.
  sampling: {max_tokens: 7, temperature: 0}
  variables: {language: English}
items:
  - prompt: One?
  - id: two
    prompt: Two {{ thing }}?
    variables: {thing: apples, language: Greek}
    sampling: {temperature: 0.5}
  - messages:
      - {role: user, content: "Hi {{ language }}"}
      - {role: assistant, content: Yes}
    system: ""
    model: other
    deadline_ms: 5000
    priority: -3
  - messages: [{role: system, content: Mine.}, {role: user, content: x}]
  - {raw: true, prompt: Once, system: ""}
)",
                               "dir/job.yaml", {});
    REQUIRE(job.ok());
    CHECK(job->concurrency == 2);
    CHECK(job->output == "dir/out.jsonl");
    CHECK(!job->print);
    REQUIRE(job->items.size() == 5);
    CHECK(render(job->items[0]) == R"(1 [{"role":"system","content":"Speak English."},)"
                                   R"({"role":"user","content":"One?"}] model=tiny)");
    CHECK(render(job->items[1]) == R"(two [{"role":"system","content":"Speak Greek."},)"
                                   R"({"role":"user","content":"Two apples?"}] model=tiny)");
    CHECK(render(job->items[2]) ==
          R"(3 [{"role":"user","content":"Hi English"},)"
          R"({"role":"assistant","content":"Yes"}] model=other priority=-3 deadline=5000)");
    CHECK(render(job->items[3]) ==
          R"(4 [{"role":"system","content":"Mine."},{"role":"user","content":"x"}] model=tiny)");
    CHECK(render(job->items[4]) == "5 raw:Once model=tiny");
    CHECK(job->items[0].request.sampling.max_tokens == 7);
    CHECK(job->items[0].request.sampling.temperature == 0);
    CHECK(job->items[1].request.sampling.max_tokens == 7);
    CHECK(job->items[1].request.sampling.temperature == 0.5f);
    CHECK(job->items[1].variables == variable_map{{"thing", "apples"}, {"language", "Greek"}});
  }

  TEST_CASE("the node's sampling is what a job says nothing about") {
    sampling_params sampling;
    sampling.top_k = 3;
    sampling.stop = {"x"};
    const auto job = parse_job("items: [{prompt: a, sampling: {stop: []}}]", "j.yaml", sampling);
    REQUIRE(job.ok());
    CHECK(job->items[0].request.sampling.top_k == 3);
    CHECK(job->items[0].request.sampling.stop.empty());
  }

  TEST_CASE("each row of a file beside the job becomes an item") {
    const test::temp_dir folder;
    folder.write("people.csv", "name,city,id\nAda,London,a\nBob,Rome,\n");
    const auto path = folder.write("job.yaml",
                                   "defaults: {prompt: '{{ name }} in {{ city }}', "
                                   "variables: {city: nowhere}}\nitems_from: people.csv\n");
    const auto job = load_job(path, {});
    REQUIRE(job.ok());
    CHECK(job->output == "-");
    REQUIRE(job->items.size() == 2);
    CHECK(render(job->items[0]) == R"(a [{"role":"user","content":"Ada in London"}])");
    CHECK(render(job->items[1]) == R"(2 [{"role":"user","content":"Bob in Rome"}])");
    CHECK(job->items[1].variables == variable_map{{"name", "Bob"}, {"city", "Rome"}, {"id", ""}});
  }

  TEST_CASE("a value that is exactly one variable takes its type") {
    const test::temp_dir folder;
    folder.write(
        "a.jsonl",
        R"({"m": [{"role": "user", "content": "{{ t }}"}], "t": 0.5, "n": 3, "e": true, )"
        R"("b": {"5": -1}, "s": ["a", "b"], "seed": null})"
        "\n"
        R"({"m": [{"role": "user", "content": "x"}, {"role": "assistant", "content": 7}], )"
        R"("t": "1", "n": 4, "e": false, "b": {}, "s": "c", "seed": 9})"
        "\n");
    const auto job = load_job(folder.write("job.yaml", R"(
items_from: a.jsonl
defaults:
  messages: "{{ m }}"
  variables: {unused: x}
  sampling: {temperature: "{{ t }}", max_tokens: "{{ n }}", ignore_eos: "{{ e }}",
             logit_bias: "{{ b }}", stop: "{{ s }}", seed: "{{ seed }}"}
)"),
                              {});
    REQUIRE(job.ok());
    REQUIRE(job->items.size() == 2);
    const auto& one = job->items[0].request.sampling;
    const auto& two = job->items[1].request.sampling;
    CHECK(render(job->items[0]) == R"(1 [{"role":"user","content":"{{ t }}"}])");
    CHECK(render(job->items[1]) ==
          R"(2 [{"role":"user","content":"x"},{"role":"assistant","content":"7"}])");
    CHECK(one.temperature == 0.5f);
    CHECK(two.temperature == 1.0f);
    CHECK(one.max_tokens == 3);
    CHECK(one.max_tokens_asked);
    CHECK(one.ignore_eos);
    CHECK_FALSE(two.ignore_eos);
    CHECK(one.logit_bias == std::map<token_id, float>{{5, -1.0f}});
    CHECK(one.stop == std::vector<std::string>{"a", "b"});
    CHECK(two.stop == std::vector<std::string>{"c"});
    CHECK_FALSE(one.seed);
    CHECK(*two.seed == 9);
    CHECK(job->items[0].variables.at("n") == 3);
  }

  TEST_CASE("an item's own value wins over a variable in the defaults, and the other way round") {
    const auto job = parse_job(R"(
defaults:
  sampling: {temperature: "{{ t }}", top_k: 5}
  variables: {t: 0.25, k: 7}
items:
  - prompt: a
  - {prompt: b, sampling: {temperature: 0.5}}
  - {prompt: c, sampling: {top_k: "{{ k }}"}}
  - messages: ["{{ first }}", {role: user, content: "k is {{ k }}"}]
    variables: {first: x}
)",
                               "job.yaml", {});
    CHECK(job.error().text == "job.yaml:9:16: messages: expected {role, content}, found \"x\"");
    const auto good = parse_job(R"(
defaults:
  sampling: {temperature: "{{ t }}", top_k: 5}
  variables: {t: 0.25, k: 7}
items:
  - prompt: a
  - {prompt: b, sampling: {temperature: 0.5}}
  - {prompt: c, sampling: {top_k: "{{ k }}"}}
)",
                                "job.yaml", {});
    REQUIRE(good.ok());
    const auto at = [&](size_t i) { return good->items[i].request.sampling; };
    CHECK(at(0).temperature == 0.25f);
    CHECK(at(1).temperature == 0.5f);
    CHECK(at(2).temperature == 0.25f);
    CHECK(at(0).top_k == 5);
    CHECK(at(2).top_k == 7);
  }

  TEST_CASE("printing alone writes no lines") {
    CHECK(parse_job("{print: true, items: [{prompt: a}]}", "j.yaml", {})->output.empty());
    CHECK(parse_job("{output: /tmp/x, items: [{prompt: a}]}", "j.yaml", {})->output == "/tmp/x");
  }

  TEST_CASE("every mistake is named with file, line and column") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"empty", "", "dir/job.yaml:1:1: no items"},
        {"no list", "items: x\n", "dir/job.yaml:1:8: items: expected a list, found \"x\""},
        {"empty list", "model: x\nitems: []\n", "dir/job.yaml:2:8: no items"},
        {"unknown key", "itmes: []\n", "dir/job.yaml:1:1: unknown key \"itmes\""},
        {"unknown key of an item", "items:\n  - promt: a\n",
         "dir/job.yaml:2:5: unknown key \"promt\""},
        {"sampling key in the wrong place", "items:\n  - prompt: a\n    max_tokens: 3\n",
         "dir/job.yaml:3:5: unknown key \"max_tokens\""},
        {"sampling out of range", "items:\n  - prompt: a\n    sampling: {top_p: 2}\n",
         "dir/job.yaml:3:23: sampling.top_p: 2 is out of range"},
        {"sampling that contradicts itself",
         "items:\n  - prompt: a\n  - {prompt: b, sampling: {min_tokens: 9, max_tokens: 3}}\n",
         "dir/job.yaml:3:5: sampling: min_tokens is 9; allowed: [0, 3]"},
        {"defaults out of range", "defaults: {sampling: {temperature: .nan}}\nitems: [{prompt: a}]",
         "dir/job.yaml:1:36: sampling.temperature: expected a finite number, found \".nan\""},
        {"concurrency", "concurrency: 0\nitems: [{prompt: a}]",
         "dir/job.yaml:1:14: concurrency: 0 is out of range"},
        {"an item that is none", "items:\n  - hello\n",
         "dir/job.yaml:2:5: an item: expected a map of keys, found \"hello\""},
        {"nothing to ask", "items:\n  - id: a\n", "dir/job.yaml:2:5: neither prompt nor messages"},
        {"both", "items:\n  - prompt: a\n    messages: []\n",
         "dir/job.yaml:3:15: both prompt and messages"},
        {"prompt is a list", "items:\n  - prompt: [a]\n",
         "dir/job.yaml:2:13: prompt: expected a text, found a list"},
        {"messages are none", "items:\n  - messages: hi\n",
         "dir/job.yaml:2:15: messages: expected a list, found \"hi\""},
        {"messages are empty", "items:\n  - messages: []\n",
         "dir/job.yaml:2:15: messages: expected a list, found a list"},
        {"a message is none", "items:\n  - messages: [hi]\n",
         "dir/job.yaml:2:16: messages: expected {role, content}, found \"hi\""},
        {"no role", "items:\n  - messages: [{content: hi}]\n",
         "dir/job.yaml:2:16: a message without a role"},
        {"unknown role", "items:\n  - messages: [{role: robot, content: hi}]\n",
         "dir/job.yaml:2:16: role: \"robot\" is none"},
        {"raw messages", "items:\n  - raw: true\n    messages: [{role: user, content: a}]\n",
         "dir/job.yaml:3:15: raw: true takes a prompt, not messages"},
        {"raw system", "items:\n  - raw: true\n    prompt: a\n    system: b\n",
         "dir/job.yaml:4:13: raw: true has no place for a system prompt"},
        {"unknown variable", "items:\n  - prompt: a\n  - prompt: 'b {{ x }}'\n",
         "dir/job.yaml:3:13: prompt: unknown variable \"x\""},
        {"unknown variable in a message",
         "items:\n  - messages:\n      - {role: user, content: '{{ x }}'}\n",
         "dir/job.yaml:3:31: content: unknown variable \"x\""},
        {"variables are none", "items:\n  - {prompt: a, variables: [x]}\n",
         "dir/job.yaml:2:28: variables: expected a map, found a list"},
        {"a variable is none", "items:\n  - {prompt: a, variables: {x: [1]}}\n",
         "dir/job.yaml:2:32: x: expected a text, found a list"},
        {"an id twice", "items:\n  - {id: x, prompt: a}\n  - {id: x, prompt: b}\n",
         "dir/job.yaml:3:5: the id \"x\" is that of item 1"},
        {"an id that is another's number", "items:\n  - {id: '2', prompt: a}\n  - {prompt: b}\n",
         "dir/job.yaml:3:5: the id \"2\" is that of item 1"},
        {"defaults with an id", "defaults: {id: x}\nitems: [{prompt: a}]\n",
         "dir/job.yaml:1:11: defaults: id and model do not belong here"},
        {"two uses of standard output", "print: true\noutput: '-'\nitems: [{prompt: a}]\n",
         "dir/job.yaml:2:9: output: \"-\" and print: true both go to standard output"},
        {"both sources", "items: []\nitems_from: x.csv\n",
         "dir/job.yaml:1:1: both items and items_from"},
        {"a source that is none", "items_from: [a]\n",
         "dir/job.yaml:1:13: items_from: expected a path, found a list"},
        {"a source that is missing", "model: x\nitems_from: none.csv\n",
         "dir/job.yaml:2:13: items_from: dir/none.csv: No such file or directory"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(refused(r.text) == r.want);
    }
  }

  TEST_CASE("a dash without quotes is no value: the hint says so") {
    const auto got = parse_job("output: -\nitems: [{prompt: a}]\n", "job.yaml", {});
    REQUIRE(!got.ok());
    CHECK(got.error().text == "job.yaml:1:9: illegal block entry");
    CHECK(got.error().hint == "a dash starts a list: if it is the value, write \"-\"");
    CHECK(parse_job("output: \"-\"\nitems: [{prompt: a}]\n", "job.yaml", {})->output == "-");
  }

  TEST_CASE("a mistake in a row is named in the row's file, a text's in the job") {
    const test::temp_dir folder;
    folder.write("a.csv", "id\nx\nx\n");
    folder.write("b.csv", "name\n\"x\n");
    const auto with = [&](const std::string& text) {
      return load_job(folder.write("job.yaml", text), {}).error().text;
    };
    CHECK(with("defaults: {prompt: '{{ id }}'}\nitems_from: a.csv\n") ==
          folder.file("a.csv") + ":3:1: the id \"x\" is that of item 1");
    CHECK(with("defaults: {prompt: '{{ nam }}'}\nitems_from: a.csv\n") ==
          folder.file("job.yaml") + ":1:20: prompt: unknown variable \"nam\"");
    folder.write("c.csv", "a,t\n\"x\ny\",warm\n");
    folder.write("d.jsonl", "{\"t\": 1}\n\n{\"t\": [1], \"m\": [{\"role\": \"robot\"}]}\n");
    const std::string t = "defaults: {prompt: x, sampling: {temperature: '{{ t }}'}}\n";
    CHECK(with(t + "items_from: c.csv\n") ==
          folder.file("c.csv") + ":3:4: sampling.temperature: expected a number, found \"warm\"");
    CHECK(with(t + "items_from: d.jsonl\n") ==
          folder.file("d.jsonl") + ":3:1: sampling.temperature: expected a number, found a list");
    CHECK(with(t + "items_from: a.csv\n") ==
          folder.file("job.yaml") + ":1:47: sampling.temperature: unknown variable \"t\"");
    CHECK(with("defaults: {messages: '{{ t }}'}\nitems_from: d.jsonl\n") ==
          folder.file("d.jsonl") + ":1:1: messages: expected a list, found \"1\"");
    folder.write("e.jsonl", "\n{\"m\": [{\"role\": \"robot\"}]}\n");
    CHECK(with("defaults: {messages: '{{ m }}'}\nitems_from: e.jsonl\n") ==
          folder.file("e.jsonl") + ":2:1: role: \"robot\" is none");
    CHECK(with("defaults: {sampling: {temprature: '{{ t }}'}}\nitems_from: a.csv\n") ==
          folder.file("job.yaml") + ":1:23: unknown key \"sampling.temprature\"");
    CHECK(with("defaults: {prompt: x}\nitems_from: b.csv\n") ==
          folder.file("b.csv") + ":2:1: a quoted field that never ends");
  }

  TEST_CASE("a job file has at most 512 KiB") {
    const test::temp_dir folder;
    const auto filled = [&](size_t bytes) {
      const std::string text = "items: [{prompt: a}]\n#";
      return folder.write("job.yaml", text + std::string(bytes - text.size(), '.'));
    };
    CHECK(load_job(filled(512 << 10), {}).ok());
    const auto path = filled((512 << 10) + 1);
    const auto got = load_job(path, {});
    REQUIRE(!got.ok());
    CHECK(got.error().code == ec::bad_file);
    CHECK(got.error().text == path + " has 524289 bytes; a YAML file may have 524288");
    CHECK(got.error().hint.find("items_from") != std::string::npos);
  }

  TEST_CASE("a model that is not there is named with its item") {
    const test::temp_dir folder;
    node_config config;
    config.models.folder = folder.file("");
    config.models.default_model = "one";
    folder.write("one.gguf", "x");
    const auto job = [](const std::string& items) {
      return parse_job("items: [" + items + "]", "job.yaml", {}).value();
    };
    CHECK(check_models(job("{prompt: a}, {prompt: b, model: one}"), config).ok());
    const auto why =
        check_models(job("{prompt: a}, {id: x, prompt: b, model: two}"), config).error();
    CHECK(why.code == ec::not_found);
    CHECK(why.text.starts_with("job.yaml: item \"x\": "));
    CHECK(why.text.find("two") != why.text.npos);
    config.models.default_model = "none";
    CHECK(check_models(job("{prompt: a}"), config).error().code == ec::not_found);
  }

  TEST_CASE("texts that grow without bound are refused") {
    const std::string big(600'000, 'x');
    std::string text = "defaults: {prompt: '{{ v }}', variables: {v: " + big + "}}\nitems:\n";
    for (int i = 0; i < 500; ++i) text += "  - {}\n";
    CHECK(refused(text).ends_with("the items' texts exceed 536870912 bytes"));
  }
}
