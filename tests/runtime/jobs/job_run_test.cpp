#include "runtime/jobs/job_run.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

batch_job job_of(size_t n, uint32_t concurrency) {
  batch_job job;
  job.concurrency = concurrency;
  for (size_t i = 0; i < n; ++i) job.items.push_back({std::to_string(i + 1), {}, {}});
  return job;
}

generation_done done_of(uint64_t id, finish_reason reason = finish_reason::stop) {
  return {{id}, reason, false, "", "m", 1, {1, 0, 5, 0, 0}};
}

}  // namespace

TEST_SUITE("runtime.jobs.job_run") {
  TEST_CASE("no more than `concurrency` requests are open") {
    const auto job = job_of(3, 2);
    job_run run{job, {}};
    CHECK(run.next() == 0);
    CHECK(run.next() == 1);
    CHECK(!run.next());
    CHECK(!run.accepted(0, {10}));
    CHECK(!run.next());
    run.on_chunk({{10}, "a", {}});
    run.on_chunk({{10}, "b", {}});
    const auto ended = run.on_done(done_of(10));
    REQUIRE(ended);
    CHECK(ended->index == 0);
    CHECK(ended->what.text == "ab");
    CHECK(run.next() == 2);
    CHECK(!run.is_finished());
    CHECK(!run.accepted(1, {11}));
    CHECK(!run.accepted(2, {12}));
    CHECK(run.on_failed({11}, {ec::engine_failed, "x", ""})->what.error.code == ec::engine_failed);
    CHECK(run.on_done(done_of(12)));
    CHECK(run.is_finished());
    CHECK(run.counts().done == 2);
    CHECK(run.counts().failed == 1);
    CHECK(run.counts().completion_tokens == 10);
  }

  TEST_CASE("messages that overtake the node's answer are kept") {
    const auto job = job_of(1, 1);
    job_run run{job, {}};
    run.next();
    run.on_chunk({{5}, "early", {}});
    CHECK(!run.on_done(done_of(5)));
    CHECK(!run.is_finished());
    const auto ended = run.accepted(0, {5});
    REQUIRE(ended);
    CHECK(ended->what.text == "early");
    CHECK(run.is_finished());
  }

  TEST_CASE("a request whose acceptance was lost does not keep the job open") {
    const auto job = job_of(1, 1);
    job_run run{job, {}};
    run.next();
    run.on_chunk({{7}, "lost", {}});
    CHECK(!run.refused(0, {ec::overloaded, "the kernel is restarting", ""}));
    run.resume();
    CHECK(run.next() == 0);
    CHECK(!run.accepted(0, {8}));
    CHECK(!run.on_done(done_of(7)));
    CHECK(run.on_done(done_of(8))->what.text.empty());
    CHECK(run.is_finished());
  }

  TEST_CASE("an overloaded node gets the item again after something ended") {
    const auto job = job_of(3, 3);
    job_run run{job, {}};
    run.next();
    run.next();
    CHECK(!run.accepted(0, {1}));
    CHECK(!run.refused(1, {ec::overloaded, "full", ""}));
    CHECK(run.is_paused());
    CHECK(!run.next());
    CHECK(run.on_done(done_of(1)));
    CHECK(run.next() == 1);
    CHECK(!run.refused(1, {ec::overloaded, "full", ""}));
    run.resume();
    CHECK(run.next() == 1);
  }

  TEST_CASE("an item that was accepted and met a full queue goes again") {
    const auto job = job_of(2, 2);
    job_run run{job, {}};
    run.next();
    run.next();
    CHECK(!run.accepted(0, {1}));
    CHECK(!run.accepted(1, {2}));
    CHECK(!run.on_failed({2}, {ec::overloaded, "the queue is full", ""}));
    CHECK(run.is_paused());
    CHECK(run.counts().failed == 0);
    CHECK(run.on_done(done_of(1)));
    CHECK(run.next() == 1);
    CHECK(!run.accepted(1, {3}));
    CHECK(run.on_done(done_of(3)));
    CHECK(run.is_finished());
  }

  TEST_CASE("a stopped job does not wait for a full queue") {
    const auto job = job_of(1, 1);
    job_run run{job, {}};
    run.next();
    CHECK(!run.accepted(0, {1}));
    run.stop();
    CHECK(!run.on_failed({1}, {ec::overloaded, "the queue is full", ""}));
    CHECK(run.is_finished());
  }

  TEST_CASE("another refusal ends the item") {
    const auto job = job_of(1, 1);
    job_run run{job, {}};
    run.next();
    const auto ended = run.refused(0, {ec::not_found, "no model", ""});
    REQUIRE(ended);
    CHECK(ended->what.error.text == "no model");
    CHECK(run.counts().failed == 1);
    CHECK(run.is_finished());
  }

  TEST_CASE("items of an earlier run are not sent") {
    const auto job = job_of(4, 4);
    job_run run{job, {true, false, true, false}};
    CHECK(run.next() == 1);
    CHECK(run.next() == 3);
    CHECK(!run.next());
    CHECK(run.counts().earlier == 2);
  }

  TEST_CASE("a stopped run sends nothing and keeps only what had ended by itself") {
    const auto job = job_of(6, 4);
    job_run run{job, {}};
    for (size_t i = 0; i < 4; ++i) run.next();
    for (size_t i = 0; i < 3; ++i) CHECK(!run.accepted(i, {i + 1}));
    run.stop();
    CHECK(!run.next());
    CHECK(run.running() == std::vector<request_id>{{1}, {2}, {3}});
    CHECK(!run.on_done(done_of(1, finish_reason::cancelled)));
    CHECK(run.on_done(done_of(2)));  // it was faster
    CHECK(!run.on_failed({3}, {ec::shutting_down, "", ""}));
    CHECK(!run.is_finished());
    CHECK(!run.refused(3, {ec::shutting_down, "", ""}));
    CHECK(run.is_finished());
    CHECK(run.counts().done == 1);
    CHECK(run.counts().failed == 0);
  }

  TEST_CASE("a request that somebody else cancelled has failed") {
    const auto job = job_of(1, 1);
    job_run run{job, {}};
    run.next();
    CHECK(!run.accepted(0, {1}));
    const auto ended = run.on_done(done_of(1, finish_reason::cancelled));
    REQUIRE(ended);
    CHECK(!ended->what.done);
    CHECK(ended->what.error.code == ec::cancelled);
  }

  TEST_CASE("every item ends exactly once, whatever the order of messages") {
    std::mt19937 rng{5};
    for (int round = 0; round < test::scaled(1000); ++round) {
      const auto job = job_of(1 + rng() % 20, 1 + static_cast<uint32_t>(rng() % 6));
      job_run run{job, {}};
      struct sent {
        size_t index;
        bool is_accepted = false, has_ended = false;
      };
      std::vector<sent> open;  // request id = place + 1
      std::multiset<size_t> ended;
      const auto note = [&](std::optional<ended_item> x) {
        if (x) ended.insert(x->index);
      };
      while (!run.is_finished()) {
        while (const auto i = run.next()) open.push_back({*i});
        REQUIRE(run.counts().running <= job.concurrency);
        auto& s = open[rng() % open.size()];
        const request_id id{static_cast<uint64_t>(&s - open.data()) + 1};
        switch (rng() % 4) {
          case 0:
            if (s.is_accepted || s.has_ended || rng() % 2) break;
            s.is_accepted = s.has_ended = true;
            note(run.refused(s.index, {rng() % 2 ? ec::overloaded : ec::invalid_argument, "", ""}));
            break;
          case 1:
            if (!s.is_accepted) note(run.accepted(s.index, id));
            s.is_accepted = true;
            break;
          case 2:
            if (!s.has_ended) note(run.on_done(done_of(id.value)));
            s.has_ended = true;
            break;
          default: run.resume();
        }
      }
      REQUIRE(ended.size() == job.items.size());
      REQUIRE(std::set<size_t>(ended.begin(), ended.end()).size() == job.items.size());
    }
  }
}
