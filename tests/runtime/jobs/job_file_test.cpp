#include "runtime/jobs/job_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "runtime/base/read_file.hpp"
#include "runtime/jobs/job_output.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

struct fixture {
  test::temp_dir folder;
  batch_job job;

  fixture() {
    job.output = folder.file("out.jsonl");
    for (const char* id : {"a", "b", "c"}) job.items.push_back({id, {}, {}});
  }
  std::string line(size_t i) const {
    outcome x;
    x.done = generation_done{};
    return output_line(job.items[i], i, x);
  }
  std::string text() const { return *read_file(job.output, 100'000); }
};

}  // namespace

TEST_SUITE("runtime.jobs.job_file") {
  TEST_CASE_FIXTURE(fixture, "a new file takes lines one by one") {
    auto file = job_file::open(job, existing_output::refuse);
    REQUIRE(file.ok());
    CHECK(file->is_done() == std::vector<bool>(3));
    REQUIRE(file->write("one").ok());
    CHECK(text() == "one\n");
    REQUIRE(file->write("two").ok());
    CHECK(text() == "one\ntwo\n");
  }

  TEST_CASE_FIXTURE(fixture, "an existing file is refused unless the caller says what to do") {
    folder.write("out.jsonl", "old\n");
    const auto refused = job_file::open(job, existing_output::refuse);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ec::invalid_argument);
    CHECK(refused.error().text == "the output " + job.output + " exists");
    CHECK(text() == "old\n");
    REQUIRE(job_file::open(job, existing_output::overwrite).ok());
    CHECK(text().empty());
  }

  TEST_CASE_FIXTURE(fixture, "resuming keeps what is done and appends") {
    folder.write("out.jsonl", line(1) + "\n" + line(2).substr(0, 20));
    auto file = job_file::open(job, existing_output::resume);
    REQUIRE(file.ok());
    CHECK(file->is_done() == std::vector<bool>{false, true, false});
    REQUIRE(file->write(line(0)).ok());
    CHECK(text() == line(1) + "\n" + line(0) + "\n");
    CHECK(!std::filesystem::exists(job.output + ".part"));
  }

  TEST_CASE_FIXTURE(fixture, "resuming without a file starts one") {
    REQUIRE(job_file::open(job, existing_output::resume).ok());
    CHECK(text().empty());
  }

  TEST_CASE_FIXTURE(fixture, "resuming another file leaves it alone") {
    folder.write("out.jsonl", "precious\n");
    CHECK(job_file::open(job, existing_output::resume).error().text ==
          job.output + ":1:1: no line of a job");
    CHECK(text() == "precious\n");
  }

  TEST_CASE_FIXTURE(fixture, "two runs do not write one file") {
    const auto first = job_file::open(job, existing_output::refuse);
    REQUIRE(first.ok());
    const auto second = job_file::open(job, existing_output::overwrite);
    REQUIRE(!second.ok());
    CHECK(second.error().text == "another run writes " + job.output);
  }

  TEST_CASE_FIXTURE(fixture, "a file that cannot be made is named") {
    job.output = folder.file("none/out.jsonl");
    const auto got = job_file::open(job, existing_output::refuse);
    REQUIRE(!got.ok());
    CHECK(got.error().code == ec::io_error);
    CHECK(got.error().text == "cannot open " + job.output + ": No such file or directory");
  }

  TEST_CASE_FIXTURE(fixture, "a full disk is an error, not a lost line") {
    job.output = "/dev/full";
    auto file = job_file::open(job, existing_output::overwrite);
    REQUIRE(file.ok());
    const auto written = file->write("x");
    REQUIRE(!written.ok());
    CHECK(written.error().code == ec::io_error);
  }
}
