#include "runtime/config/node_config.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "runtime/base/read_file.hpp"
#include "runtime/config/keys.hpp"
#include "tests/support/environment_guard.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

TEST_SUITE("runtime.config.node_config") {
  TEST_CASE("configs/node.yaml is what the program writes for its defaults") {
    const auto text = read_file("configs/node.yaml", 1u << 20);
    REQUIRE(text.ok());
    CHECK(*text == to_yaml(node_config{}));  // build/llmos config --defaults > configs/node.yaml
    REQUIRE(load_node_config("configs/node.yaml").ok());
    CHECK(to_yaml(*load_node_config("configs/node.yaml")) == *text);
  }

  TEST_CASE("a file overrides the defaults, key by key") {
    const test::temp_dir folder;
    const auto path = folder.write("node.yaml",
                                   "engine: {threads: 3}\nsampling:\n  temperature: 0\n"
                                   "  stop: [x]\nlog:\nshell:\n  system: >-\n    Be\n    kind.\n");
    const auto config = load_node_config(path);
    REQUIRE(config.ok());
    CHECK(config->engine.threads == 3);
    CHECK(config->engine.step_tokens == node_config{}.engine.step_tokens);
    CHECK(config->sampling.temperature == 0);
    CHECK(config->sampling.stop == std::vector<std::string>{"x"});
    CHECK(config->shell.system == "Be kind.");
    CHECK(to_yaml(*load_node_config(folder.write("empty.yaml", ""))) == to_yaml(node_config{}));
  }

  TEST_CASE("every mistake in a file is named with its line and column") {
    struct row {
      const char* name;
      std::string text, want_text, want_hint;
    };
    const row table[] = {
        {"unknown section", "engin:\n  threads: 2\n", ":1:1: unknown key \"engin\"",
         "did you mean engine?"},
        {"unknown key", "engine:\n  threads: 2\n  treads: 4\n",
         ":3:3: unknown key \"engine.treads\"", "did you mean engine.threads?"},
        {"section left out", "threads: 2\n", ":1:1: unknown key \"threads\"",
         "did you mean engine.threads? Each dot is a level of indentation"},
        {"dotted key", "engine.threads: 2\n", ":1:1: unknown key \"engine.threads\"",
         "did you mean engine.threads? Each dot is a level of indentation"},
        {"nothing like it", "log:\n  zebra: 1\n", ":2:3: unknown key \"log.zebra\"",
         "known here: level, file, content"},
        {"wrong type", "engine:\n  threads: two\n",
         ":2:12: engine.threads: expected a whole number, found \"two\"",
         "allowed: 0 to 1024 threads"},
        {"out of range", "sampling: {top_p: 1.5}\n", ":1:19: sampling.top_p: 1.5 is out of range",
         "allowed: above 0, up to 1"},
        {"not a number", "sampling:\n  temperature: .nan\n",
         ":2:16: sampling.temperature: expected a finite number, found \".nan\"",
         "allowed: 0 to 100"},
        {"inside a list", "sampling:\n  stop:\n    - a\n    - ''\n",
         ":4:7: sampling.stop: 0 bytes in one text",
         "allowed: a list of up to 16 texts of 1 to 256 bytes"},
        {"inside a map", "sampling:\n  logit_bias:\n    5: 1\n    x: 2\n",
         ":4:5: sampling.logit_bias: \"x\" is no token id",
         "allowed: a map {id: value} of up to 1024 token ids, values -100 to 100"},
        {"a section that is none", "engine: 5\n",
         ":1:9: engine: expected a map of keys, found \"5\"", "write key: value, one per line"},
        {"a file that is no map", "- a\n- b\n",
         ":1:1: the file: expected a map of keys, found a list", "write key: value, one per line"},
        {"duplicate key", "engine:\n  threads: 1\nengine:\n  context: 5\n",
         ":3:1: the key \"engine\" stands here twice", "keep one of them"},
    };
    const test::temp_dir folder;
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto path = folder.write("node.yaml", r.text);
      const auto got = load_node_config(path);
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text == path + r.want_text);
      CHECK(got.error().hint == r.want_hint);
    }
  }

  TEST_CASE("files that are none are refused by name") {
    const test::temp_dir folder;
    CHECK(load_node_config(folder.file("none.yaml")).error().code == ec::not_found);
    CHECK(load_node_config(folder.file("")).error().code == ec::io_error);
    const auto huge = folder.write("huge.yaml", "a: " + std::string(100u << 20, 'x'));
    CHECK(load_node_config(huge).error().text ==
          huge + " has 104857603 bytes; a YAML file may have 524288");
    const auto junk = folder.write("junk.yaml",
                                   "\x7f"
                                   "ELF\x02\x01");
    CHECK(load_node_config(junk).error().text == junk + ":1:1: control byte 127");
  }

  TEST_CASE("an assignment sets one key or says what is wrong") {
    node_config config;
    CHECK(set_config_key(config, "engine.threads=2").ok());
    CHECK(config.engine.threads == 2);
    CHECK(set_config_key(config, "shell.system=a=b").ok());
    CHECK(config.shell.system == "a=b");
    CHECK(set_config_key(config, "log.file=").ok());

    const auto no_equals = set_config_key(config, "engine.threads");
    CHECK(no_equals.error().code == ec::invalid_argument);
    CHECK(no_equals.error().text == "\"engine.threads\" is no key=value");
    const auto unknown = set_config_key(config, "engine.thread=2");
    CHECK(unknown.error().code == ec::invalid_argument);
    CHECK(unknown.error().text == "unknown key \"engine.thread\"");
    CHECK(unknown.error().hint == "did you mean engine.threads?");
    CHECK(set_config_key(config, "temperature=2").error().hint ==
          "did you mean sampling.temperature?");
    CHECK(set_config_key(config, "engine.threads=x").error().hint == "allowed: 0 to 1024 threads");
    CHECK(config.engine.threads == 2);
  }

  TEST_CASE("keys that contradict each other are refused") {
    node_config config;
    CHECK(validate(config).ok());
    config.engine.max_running = 300;
    CHECK(validate(config).error().text ==
          "engine.max_running is 300, but a step has room for engine.step_tokens = 256");
    config.engine.max_running = 256;
    CHECK(validate(config).ok());
    for (const uint32_t tokens : {16u, 32u, 64u, 128u, 256u, 48u}) {
      CAPTURE(tokens);
      config.engine.block_tokens = tokens;
      CHECK(validate(config).ok() == (tokens != 48));
    }
    CHECK(validate(config).error().text == "engine.block_tokens is 48, which is no power of two");
    CHECK_FALSE(set_config_key(config, "engine.block_tokens=8").ok());
    CHECK_FALSE(set_config_key(config, "engine.block_tokens=512").ok());
    config.engine.block_tokens = 16;
    config.engine.context = 8;
    CHECK(validate(config).error().code == ec::invalid_argument);
    config.engine.context = 16;
    CHECK(validate(config).ok());
  }

  TEST_CASE("the models folder comes from the configuration, the environment or the home") {
    const test::environment_guard home{"HOME", "/home/me"};
    node_config config;
    {
      const test::environment_guard models{"LLMOS_MODELS", nullptr};
      CHECK(models_folder(config) == "/home/me/.local/share/llmos/models");
    }
    const test::environment_guard models{"LLMOS_MODELS", "/srv/models"};
    CHECK(models_folder(config) == "/srv/models");
    config.models.folder = "~/gguf";
    CHECK(models_folder(config) == "/home/me/gguf");
    config.models.folder = "/data";
    CHECK(models_folder(config) == "/data");
  }
}
