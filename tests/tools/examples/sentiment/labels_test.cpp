#include "tools/examples/sentiment/labels.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace llmos::examples;

TEST_SUITE("tools.examples.sentiment.labels") {
  TEST_CASE("the prompt ends where a label goes on") {
    CHECK(prompt_of("Shares rise").ends_with("\n\nHeadline: Shares rise\nSentiment:"));
    CHECK(label_texts() == std::vector<std::string>{" positive", " negative", " neutral"});
    CHECK(reference_headlines().size() % num_labels == 0);
  }

  TEST_CASE("the bias is the mean of what the labels have anyway") {
    CHECK(bias_of({{-1, -2, -3}, {-3, -2, -5}}) == by_label{-2, -2, -4});
  }

  TEST_CASE("probabilities say how much more than its bias a label has") {
    struct row {
      const char* name;
      by_label scores, bias, want;
    };
    const double e = std::exp(1.0);
    const row rows[] = {
        {"no more than the bias", {-1, -5, -9}, {-1, -5, -9}, {1 / 3.0, 1 / 3.0, 1 / 3.0}},
        {"one more", {0, -5, -9}, {-1, -5, -9}, {e / (e + 2), 1 / (e + 2), 1 / (e + 2)}},
        {"far apart", {-2000, -1000, -3000}, {0, 0, 0}, {0, 1, 0}},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      const auto p = calibrated(r.scores, r.bias);
      for (size_t i = 0; i < num_labels; ++i) CHECK(p[i] == doctest::Approx(r.want[i]));
    }
  }

  TEST_CASE("the best label is the most probable one, the first of equal ones") {
    CHECK(best_label({0.2, 0.5, 0.3}) == 1);
    CHECK(best_label({0.4, 0.2, 0.4}) == 0);
  }

  TEST_CASE("the mood goes from -1 to 1") {
    CHECK(mood_of({1, 0, 0}) == 1);
    CHECK(mood_of({0, 1, 0}) == -1);
    CHECK(mood_of({0.25, 0.25, 0.5}) == 0);
  }
}
