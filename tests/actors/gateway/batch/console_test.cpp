#include "actors/gateway/batch/console.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

struct fixture {
  std::string lines, printed, progress;
  uint64_t now_ms = 0;
  job_counts end;
  failure why, print_error;

  std::shared_ptr<const batch_job> job_of(size_t n) {
    auto job = std::make_shared<batch_job>();
    for (size_t i = 0; i < n; ++i) {
      job_item item;
      item.id = std::to_string(i + 1);
      item.request.messages = {{{"role", "user"}, {"content", "Question " + item.id + "\nmore"}}};
      job->items.push_back(std::move(item));
    }
    return job;
  }

  console_io io(bool with_lines, bool with_print, bool is_terminal = false) {
    console_io x;
    if (with_lines) {
      x.write_line = [this](std::string_view line) {
        lines.append(line).push_back('\n');
        return result<void>{};
      };
    }
    if (with_print) {
      x.print = [this](std::string_view text) {
        printed.append(text);
        return print_error.code == ec::none ? result<void>{} : result<void>{print_error};
      };
    }
    x.show_progress = [this](std::string_view text) { progress.append(text); };
    x.elapsed_ms = [this] { return now_ms; };
    x.finished = [this](const job_counts& c, const failure& w) {
      end = c;
      why = w;
    };
    x.is_terminal = is_terminal;
    return x;
  }

  static ended_item done(size_t index, const std::string& text) {
    ended_item x{index, {}};
    x.what.text = text;
    x.what.done = generation_done{};
    return x;
  }
};

}  // namespace

TEST_SUITE_BEGIN("actors.gateway.batch.console");

TEST_CASE_FIXTURE(fixture, "lines come as items end, answers in the items' order") {
  batch_console aut{job_of(3), {}, io(true, true)};
  REQUIRE(aut.on_ended(done(2, "third")).ok());
  CHECK(lines.find("\"id\":\"3\"") != std::string::npos);
  CHECK(printed.empty());
  REQUIRE(aut.on_ended(done(0, "first\n")).ok());
  CHECK(printed == "[1] Question 1\\nmore\nfirst\n\n");
  ended_item bad{1, {}};
  bad.what.error = {ec::over_context, "too long", "shorten it"};
  REQUIRE(aut.on_ended(bad).ok());
  CHECK(printed ==
        "[1] Question 1\\nmore\nfirst\n\n"
        "[2] Question 2\\nmore\nfailed: too long (shorten it)\n\n"
        "[3] Question 3\\nmore\nthird\n\n");
}

TEST_CASE_FIXTURE(fixture, "an answer that was cut says so") {
  batch_console aut{job_of(1), {}, io(false, true)};
  auto x = done(0, "and then ");
  x.what.done->reason = finish_reason::length;
  REQUIRE(aut.on_ended(x).ok());
  CHECK(printed == "[1] Question 1\\nmore\nand then […]\n\n");
}

TEST_CASE_FIXTURE(fixture, "answers of an earlier run are not waited for") {
  batch_console aut{job_of(2), {true, false}, io(false, true)};
  REQUIRE(aut.on_ended(done(1, "second")).ok());
  CHECK(printed == "[2] Question 2\\nmore\nsecond\n\n");
}

TEST_CASE_FIXTURE(fixture, "a stopped job prints what waited behind a gap") {
  batch_console aut{job_of(3), {}, io(false, true)};
  REQUIRE(aut.on_ended(done(2, "third")).ok());
  aut.on_finished({.total = 3, .done = 1}, {});
  CHECK(printed == "[3] Question 3\\nmore\nthird\n\n");
  CHECK(end.done == 1);
}

TEST_CASE_FIXTURE(fixture, "the bar makes way for answers and leaves at the end") {
  batch_console aut{job_of(2), {}, io(false, true, true)};
  aut.on_progress({.total = 2});
  CHECK(progress == "\r\x1b[K[........................] 0/2 done");
  progress.clear();
  REQUIRE(aut.on_ended(done(0, "a")).ok());
  CHECK(progress == "\r\x1b[K");
  now_ms = 500;
  aut.on_progress({.total = 2, .done = 1});
  aut.on_finished({.total = 2, .done = 2}, {});
  CHECK(progress.ends_with("\r\x1b[K"));
}

TEST_CASE_FIXTURE(fixture, "a reader that has gone is an error for the job") {
  print_error = {ec::cancelled, "gone", ""};
  batch_console aut{job_of(1), {}, io(false, true)};
  CHECK(aut.on_ended(done(0, "a")).error().text == "gone");
  aut.on_finished({.total = 1}, print_error);
  CHECK(why.text == "gone");
}

TEST_SUITE_END();
