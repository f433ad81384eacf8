#include "tools/examples/assistant/desk.hpp"

#include <doctest/doctest.h>

using namespace llmos;
using namespace llmos::examples;

namespace {

std::string render(const std::vector<turn>& turns) {
  std::string out;
  for (const auto& t : turns) {
    out += std::string(out.empty() ? "" : " | ") + t.role.substr(0, 1) + ":" + t.text;
  }
  return out;
}

/// "ann hands over (why): u:… ; ann asks: u:…"
std::string render(const orders& x) {
  std::string out;
  for (const auto& h : x.hand_overs) {
    out += h.customer + " hands over (" + h.reason + "): " + render(h.transcript) + "; ";
  }
  if (x.ask) out += x.ask->customer + " asks: " + render(x.ask->turns);
  return out;
}

std::string render(const result<orders>& x) {
  return x ? render(*x) : to_string(x.error());
}

constexpr const char* wish = "I want a human";

}  // namespace

TEST_SUITE("tools.examples.assistant.desk") {
  TEST_CASE("customers do not wait for each other, but for their own answers") {
    desk d({});
    CHECK(render(d.hear("ann", "one")) == "ann asks: u:one");
    CHECK(render(d.hear("bob", "two")) == "bob asks: u:two");
    CHECK(render(d.hear("ann", "three")) == "");
    CHECK_FALSE(d.is_idle());
    CHECK(render(d.answered("ann", "1", -0.5)) == "ann asks: u:one | a:1 | u:three");
    CHECK(render(d.answered("bob", "2", -0.5)) == "");
    CHECK_FALSE(d.is_idle());
    CHECK(render(d.answered("ann", "3", -0.5)) == "");
    CHECK(d.is_idle());
  }

  TEST_CASE("the model is shown the newest turns, from one of the customer on") {
    desk d({.turns = 4});
    std::string last;
    for (const char* text : {"1", "2", "3", "4"}) {
      last = render(d.hear("ann", text));
      d.answered("ann", text, 0);
    }
    CHECK(last == "ann asks: u:3 | a:3 | u:4");
  }

  TEST_CASE("a person gets the conversation, and the assistant is silent until it is back") {
    desk d({});
    CHECK(d.hear("ann", "hello"));
    d.answered("ann", "hi", 0);
    CHECK(render(d.hear("ann", wish)) ==
          "ann hands over (the customer asks for a person): u:hello | a:hi | u:I want a human; ");
    CHECK(render(d.hear("ann", "are you there?")) == "");
    CHECK(d.is_idle());
    CHECK(render(d.back("ann")) == "");
    CHECK(render(d.hear("ann", "thanks")) ==
          "ann asks: u:hello | a:hi | u:I want a human\nare you there?\nthanks");
  }

  TEST_CASE("a model that fails, is unsure or says nothing hands over") {
    struct row {
      const char* name;
      orders (*end)(desk& d);
      const char* want;
    };
    const row rows[] = {
        {"fails", [](desk& d) { return d.failed("ann", "gone"); },
         "ann hands over (no answer: gone): u:hello; "},
        {"unsure", [](desk& d) { return d.answered("ann", "perhaps", -1.6); },
         "ann hands over (the model is unsure of its answer): u:hello | a:perhaps; "},
        {"nothing", [](desk& d) { return d.answered("ann", "", 0); },
         "ann hands over (the model has no answer): u:hello; "},
        {"just sure enough", [](desk& d) { return d.answered("ann", "yes", -1.5); }, ""},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      desk d({.unsure = -1.5});
      CHECK(d.hear("ann", "hello"));
      CHECK(render(r.end(d)) == r.want);
      CHECK(d.is_idle());
    }
  }

  TEST_CASE("what waits is dealt with in its order") {
    desk d({});
    CHECK(d.hear("ann", "one"));
    for (const char* text : {wish, "still there?"}) CHECK(render(d.hear("ann", text)) == "");
    CHECK(render(d.back("ann")) == "");
    CHECK(d.hear("ann", "two"));
    CHECK(render(d.answered("ann", "1", 0)) ==
          "ann hands over (the customer asks for a person): u:one | a:1 | u:I want a human; "
          "ann asks: u:one | a:1 | u:I want a human\nstill there?\ntwo");
  }

  TEST_CASE("what cannot be taken is said") {
    desk d({.waiting = 2});
    CHECK(render(d.back("ann")) ==
          "invalid_argument: nobody called 'ann' has written (/back takes the name of a customer)");
    for (const char* text : {"1", "2", "3"}) CHECK(d.hear("ann", text));
    CHECK(render(d.hear("ann", "4")) ==
          "overloaded: 'ann' has 2 texts waiting (write again when they are answered)");
    CHECK(d.hear("bob", "1"));
  }

  TEST_CASE("a transcript is bounded") {
    desk d({.turns = 2, .transcript_turns = 3});
    for (const char* text : {"1", "2", "3"}) {
      CHECK(d.hear("ann", text));
      d.answered("ann", text, 0);
    }
    CHECK(render(d.hear("ann", wish)) ==
          "ann hands over (the customer asks for a person): u:3 | a:3 | u:I want a human; ");
  }
}
