#include "runtime/config/keys.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace llmos;

namespace {

/// What a value becomes, or the error with its hint.
std::string assigned(const std::string& name, const std::string& value) {
  node_config config;
  const auto key = find_key(keys_of(config), name);
  REQUIRE(key.ok());
  const auto before = render_value(*key);
  const auto done = assign_text(*key, value);
  if (done.ok()) return render_value(*key);
  CHECK(done.error().code == ec::invalid_argument);
  CHECK(render_value(*key) == before);
  return done.error().text + " | " + done.error().hint;
}

}  // namespace

TEST_SUITE("runtime.config.keys") {
  TEST_CASE("a request's own max_tokens is told from the node's default") {
    sampling_params own;
    CHECK(assign_text(*find_key(keys_of(own), "max_tokens"), "many").ok() == false);
    CHECK_FALSE(own.max_tokens_asked);
    CHECK(assign_text(*find_key(keys_of(own), "max_tokens"), "512").ok());
    CHECK(own.max_tokens_asked);
    node_config node;
    CHECK(assign_text(*find_key(keys_of(node), "sampling.max_tokens"), "7").ok());
    CHECK(node.sampling.max_tokens == 7);
    CHECK_FALSE(node.sampling.max_tokens_asked);
  }

  TEST_CASE("values of every type are read") {
    struct row {
      std::string key;
      std::string value, want;
    };
    const row table[] = {
        {"engine.threads", "2", "2"},
        {"engine.threads", "1024", "1024"},
        {"engine.kv_bytes", "512MiB", "536870912"},
        {"engine.kv_bytes", "1TiB", "1099511627776"},
        {"engine.backend", "cuda:1", "\"cuda:1\""},
        {"engine.kv_type", "q8_0", "q8_0"},
        {"models.folder", "", "\"\""},
        {"shell.system", "You are: [kind] # really", "\"You are: [kind] # really\""},
        {"log.content", "true", "true"},
        {"sampling.temperature", "0", "0"},
        {"sampling.temperature", "1e-1", "0.1"},
        {"sampling.top_p", "1.0", "1"},
        {"sampling.penalty_window", "-1", "-1"},
        {"sampling.frequency_penalty", "-2", "-2"},
        {"sampling.seed", "18446744073709551615", "18446744073709551615"},
        {"sampling.seed", "null", "null"},
        {"sampling.seed", "", "null"},
        {"sampling.stop", "[a, \"b\\n\", '###']", "[\"a\", \"b\\n\", \"###\"]"},
        {"sampling.stop", "END", "[\"END\"]"},
        {"sampling.stop", "[]", "[]"},
        {"sampling.stop_token_ids", "[2, 0]", "[2, 0]"},
        {"sampling.logit_bias", "{5: -100, 7: 0.5}", "{5: -100, 7: 0.5}"},
        {"sampling.logit_bias", "{}", "{}"},
    };
    for (const auto& r : table) {
      CAPTURE(r.key);
      CAPTURE(r.value);
      CHECK(assigned(r.key, r.value) == r.want);
    }
  }

  TEST_CASE("a wrong value is refused with key, value and what is allowed") {
    struct row {
      std::string key;
      std::string value, want;
    };
    const row table[] = {
        {"engine.threads", "abc",
         "engine.threads: expected a whole number, found \"abc\" | allowed: 0 to 1024 threads"},
        {"engine.threads", "1025",
         "engine.threads: 1025 is out of range | allowed: 0 to 1024 threads"},
        {"engine.threads", "-1", "engine.threads: -1 is out of range | allowed: 0 to 1024 threads"},
        {"engine.threads", "2.5",
         "engine.threads: expected a whole number, found \"2.5\" | allowed: 0 to 1024 threads"},
        {"engine.threads", "99999999999999999999",
         "engine.threads: 99999999999999999999 is out of range | allowed: 0 to 1024 threads"},
        {"engine.threads", "'2'",
         "engine.threads: expected a whole number, found the text \"2\" | allowed: 0 to 1024 "
         "threads"},
        {"engine.threads", "[2]",
         "engine.threads: expected a whole number, found a list | allowed: 0 to 1024 threads"},
        {"engine.threads", "",
         "engine.threads: expected a whole number, found nothing | allowed: 0 to 1024 threads"},
        {"engine.threads", "[", "engine.threads: cannot read \"[\" | allowed: 0 to 1024 threads"},
        {"engine.kv_bytes", "99999999999TiB",
         "engine.kv_bytes: 99999999999TiB is out of range | allowed: 0 to 1125899906842624 bytes, "
         "also with KiB, MiB, GiB or TiB"},
        {"engine.kv_bytes", "5MB",
         "engine.kv_bytes: expected a whole number, found \"5MB\" | allowed: 0 to 1125899906842624 "
         "bytes, also with KiB, MiB, GiB or TiB"},
        {"engine.kv_type", "q4_0",
         "engine.kv_type: expected one of the allowed words, found \"q4_0\" | allowed: f16 or "
         "q8_0"},
        {"log.content", "yes",
         "log.content: expected true or false, found \"yes\" | allowed: true or false"},
        {"sampling.temperature", "nan",
         "sampling.temperature: expected a finite number, found \"nan\" | allowed: 0 to 100"},
        {"sampling.temperature", ".nan",
         "sampling.temperature: expected a finite number, found \".nan\" | allowed: 0 to 100"},
        {"sampling.temperature", "-.inf",
         "sampling.temperature: expected a finite number, found \"-.inf\" | allowed: 0 to 100"},
        {"sampling.temperature", "1e999",
         "sampling.temperature: expected a number, found \"1e999\" | allowed: 0 to 100"},
        {"sampling.temperature", "-0.1",
         "sampling.temperature: -0.1 is out of range | allowed: 0 to 100"},
        {"sampling.temperature", "hot",
         "sampling.temperature: expected a number, found \"hot\" | allowed: 0 to 100"},
        {"sampling.top_p", "0", "sampling.top_p: 0 is out of range | allowed: above 0, up to 1"},
        {"sampling.seed", "-1",
         "sampling.seed: -1 is out of range | allowed: null or 0 to 18446744073709551615"},
        {"sampling.stop", "['']",
         "sampling.stop: 0 bytes in one text | allowed: a list of up to 16 texts of 1 to 256 "
         "bytes"},
        {"sampling.stop", "{a: b}",
         "sampling.stop: expected a list, found a map | allowed: a list of up to 16 texts of 1 to "
         "256 bytes"},
        {"sampling.stop", "[[a]]",
         "sampling.stop: expected a text, found a list | allowed: a list of up to 16 texts of 1 to "
         "256 bytes"},
        {"sampling.stop_token_ids", "[x]",
         "sampling.stop_token_ids: expected a whole number, found \"x\" | allowed: a list of up to "
         "64 token ids"},
        {"sampling.logit_bias", "{x: 1}",
         "sampling.logit_bias: \"x\" is no token id | allowed: a map {id: value} of up to 1024 "
         "token ids, values -100 to 100"},
        {"sampling.logit_bias", "{5: 1, 05: 2}",
         "sampling.logit_bias: token 05 stands here twice | allowed: a map {id: value} of up to "
         "1024 token ids, values -100 to 100"},
        {"sampling.logit_bias", "{5: 101}",
         "sampling.logit_bias: 101 is out of range | allowed: a map {id: value} of up to 1024 "
         "token ids, values -100 to 100"},
        {"shell.system", "\xff",
         "shell.system: expected valid UTF-8, found \"\\xff\" | allowed: any text"},
    };
    for (const auto& r : table) {
      CAPTURE(r.key);
      CAPTURE(r.value);
      CHECK(assigned(r.key, r.value) == r.want);
    }
    CHECK(assigned("sampling.stop", "[a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]")
              .starts_with("sampling.stop: 17 entries"));
  }

  TEST_CASE("what a key renders, it reads back") {
    node_config config;
    config.sampling.temperature = 0.3f;
    config.sampling.min_p = std::numeric_limits<float>::min();
    config.sampling.stop = {"\"", "a: b", "# \n\t\\"};
    config.sampling.logit_bias = {{3, -0.125f}, {49000, 99.9f}};
    config.sampling.seed = 1;
    config.shell.system = "Be brief. \"Really\" – ja?\n";
    const auto text = to_yaml(config);
    const auto root = parse_yaml(text, "x");
    REQUIRE(root.ok());
    node_config back;
    REQUIRE(assign_map(keys_of(back), *root, "", "x").ok());
    CHECK(back.sampling == config.sampling);
    CHECK(back.shell.system == config.shell.system);
    CHECK(to_yaml(back) == text);
  }

  TEST_CASE("names, places and ranges in the table are consistent") {
    node_config config;
    const auto keys = keys_of(config);
    for (size_t i = 0; i < keys.size(); ++i) {
      CAPTURE(keys[i].name);
      CHECK(!keys[i].doc.empty());
      CHECK(keys[i].name.find('.') != std::string::npos);
      for (size_t j = 0; j < i; ++j) {
        CHECK(keys[i].name != keys[j].name);
        CHECK(keys[i].slot != keys[j].slot);
      }
      const auto default_value = render_value(keys[i]);
      const auto read_back = std::holds_alternative<std::string*>(keys[i].slot)
                                 ? result<void>{}
                                 : assign_text(keys[i], default_value);
      CHECK(read_back.ok());
      CHECK(render_value(keys[i]) == default_value);
    }
  }
}
