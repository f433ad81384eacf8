#include "runtime/jobs/job_output.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

using namespace llmos;

namespace {

batch_job job_of(std::initializer_list<const char*> ids) {
  batch_job job;
  for (const char* id : ids) job.items.push_back({id, {}, {}});
  return job;
}

outcome done_outcome() {
  outcome x;
  x.text = "Hi \"you\"\n";
  x.done =
      generation_done{{1}, finish_reason::length, false, "", "tiny", 42, {3, 1, 4, 1500, 31500}};
  return x;
}

}  // namespace

TEST_SUITE("runtime.jobs.job_output") {
  TEST_CASE("a finished item is one line of JSON") {
    const auto job = job_of({"a"});
    CHECK(output_line(job.items[0], 0, done_outcome()) ==
          R"({"id":"a","index":0,"status":"done","text":"Hi \"you\"\n","finish_reason":"length",)"
          R"("usage":{"prompt_tokens":3,"cached_tokens":1,"completion_tokens":4,"total_tokens":7,)"
          R"("first_token_ms":1.5,"total_ms":31.5,"decode_tokens_per_s":100.0},)"
          R"("seed":42,"model":"tiny","request":")" +
              request_hash(job.items[0].request) + "\"}");
  }

  TEST_CASE("a failed item says why, and variables and log-probabilities stand where they belong") {
    auto job = job_of({"b"});
    job.items[0].variables = {{"name", "Ada"}};
    job.items[0].request.sampling.logprobs = true;
    outcome x;
    x.error = {ec::over_context, "too long", "shorten it"};
    x.tokens = {{5, -0.5f, {{5, -0.5f}, {6, -1.5f}}}};
    CHECK(output_line(job.items[0], 7, x) ==
          R"({"id":"b","index":7,"status":"failed","text":"",)"
          R"("error":{"code":"over_context","text":"too long","hint":"shorten it"},)"
          R"("logprobs":[{"id":5,"logprob":-0.5,"top":[{"id":5,"logprob":-0.5},)"
          R"({"id":6,"logprob":-1.5}]}],"variables":{"name":"Ada"}})");
  }

  TEST_CASE("a line is valid JSON even when its text is not UTF-8") {
    const auto job = job_of({"a"});
    auto x = done_outcome();
    x.text =
        "a\xff"
        "b";
    const auto line = nlohmann::json::parse(output_line(job.items[0], 0, x));
    CHECK(line["text"] ==
          "a\xef\xbf\xbd"
          "b");
  }

  TEST_CASE("an answer to another request than the item's of now is asked for again") {
    auto job = job_of({"a", "b", "c"});
    const auto line = [&](size_t i) { return output_line(job.items[i], i, done_outcome()) + "\n"; };
    auto text = line(0) + line(1);
    const auto unchanged = read_earlier_output(text, "o.jsonl", job);
    CHECK(unchanged->num_done == 2);
    CHECK(unchanged->num_changed == 0);
    job.items[1].request.sampling.temperature = 0.25f;
    const auto got = read_earlier_output(text, "o.jsonl", job);
    REQUIRE(got.ok());
    CHECK(got->is_done == std::vector<bool>{true, false, false});
    CHECK(got->num_changed == 1);
    CHECK(got->kept == line(0));
  }

  TEST_CASE("a request's hash follows all that changes its answer") {
    const generate_request plain;
    std::set<std::string> seen{request_hash(plain)};
    const auto differs = [&](auto change) {
      auto x = plain;
      change(x);
      CHECK(request_hash(x) == request_hash(generate_request{x}));
      CHECK(seen.insert(request_hash(x)).second);
    };
    differs([](auto& x) { x.model = "m"; });
    differs([](auto& x) { x.prompt = "m"; });
    differs([](auto& x) { x.messages = {{{"role", "user"}, {"content", "m"}}}; });
    differs([](auto& x) { x.sampling.seed = 1; });
    differs([](auto& x) { x.sampling.max_tokens = 1; });
    differs([](auto& x) { x.sampling.stop = {"m"}; });
    differs([](auto& x) { x.sampling.logit_bias = {{1, 1.0f}}; });
    CHECK(request_hash(plain).size() == 16);
  }

  TEST_CASE("an interrupted run keeps what is done and repeats the rest") {
    const auto job = job_of({"a", "b", "c", "d"});
    const auto line = [&](size_t i) { return output_line(job.items[i], i, done_outcome()) + "\n"; };
    outcome bad;
    bad.error = {ec::engine_failed, "x", ""};
    const auto text = line(2) + output_line(job.items[0], 0, bad) + "\n" + line(1) +
                      line(3).substr(0, 30);  // killed while writing
    const auto got = read_earlier_output(text, "o.jsonl", job);
    REQUIRE(got.ok());
    CHECK(got->is_done == std::vector<bool>{false, true, true, false});
    CHECK(got->num_done == 2);
    CHECK(got->num_repeated == 2);
    CHECK(got->kept == line(2) + line(1));
    CHECK(read_earlier_output("", "o", job)->num_done == 0);
  }

  TEST_CASE("a last line without its line end counts when it is whole") {
    const auto job = job_of({"a"});
    const auto line = output_line(job.items[0], 0, done_outcome());
    CHECK(read_earlier_output(line, "o", job)->kept == line + "\n");
  }

  TEST_CASE("another file is not taken for the job's output") {
    const auto job = job_of({"a", "b"});
    const auto line = output_line(job.items[0], 0, done_outcome()) + "\n";
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"no JSON", line + "hello\n" + line, "o:2:1: no line of a job"},
        {"other JSON", "{\"a\": 1}\n", "o:1:1: no line of a job"},
        {"an array", "[]\n", "o:1:1: no line of a job"},
        {"done twice", line + line, "o:2:1: an item is done twice"},
        {"an unknown item", "{\"id\":\"z\",\"status\":\"done\"}\n",
         "o:1:1: an item that the job does not have"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = read_earlier_output(r.text, "o", job);
      REQUIRE(!got.ok());
      CHECK(got.error().text == r.want);
    }
  }
}
