#include "tools/examples/assistant/wishes.hpp"

#include <doctest/doctest.h>

using namespace llmos::examples;

TEST_SUITE("tools.examples.assistant.wishes") {
  TEST_CASE("who asks for a person is understood") {
    for (const char* text :
         {"Can I speak to an agent?", "GET ME A MANAGER", "Connect me with a representative please",
          "I would like to talk to someone", "Is there a human I can call?",
          "Stop, I need an operator", "this is useless, give me a person",
          "Could one of your colleagues ring me back?", "I want a real human, not a machine."}) {
      CAPTURE(text);
      CHECK(asks_for_person(text));
    }
  }

  TEST_CASE("who speaks of people does not ask for one") {
    for (const char* text :
         {"", "What are your opening hours?", "Is the jacket made for one person or two?",
          "My travel agent booked this", "I want to buy a lamp for somebody",
          "I need it for someone", "Do people like it?", "Can I get a lamp in blue?",
          "How do I call it?"}) {
      CAPTURE(text);
      CHECK_FALSE(asks_for_person(text));
    }
  }
}
