#include "tools/examples/sentiment/labels.hpp"

#include <algorithm>
#include <cmath>

namespace llmos::examples {

std::string prompt_of(const std::string& headline) {
  return "Headline: Profit doubles and shares jump\nSentiment: positive\n\n"
         "Headline: Losses widen and shares fall\nSentiment: negative\n\n"
         "Headline: Company will publish its report on Monday\nSentiment: neutral\n\n"
         "Headline: " +
         headline + "\nSentiment:";
}

std::vector<std::string> label_texts() {
  std::vector<std::string> out;
  for (const char* name : label_names) out.push_back(std::string(" ") + name);
  return out;
}

const std::vector<std::string>& reference_headlines() {
  static const std::vector<std::string> all = {
      "Insurer lifts profit forecast after strong year",
      "Shipping group wins record order",
      "Software maker's earnings top estimates",
      "Airline warns of loss as fuel costs climb",
      "Chipmaker shares sink on weak guidance",
      "Builder defaults on its loans",
      "Energy firm publishes agenda of shareholder meeting",
      "Ministry releases calendar of bond auctions",
      "Telecom group renames its service unit",
  };
  return all;
}

by_label bias_of(const std::vector<by_label>& log_likelihoods) {
  by_label out{};
  for (const auto& x : log_likelihoods) {
    for (size_t i = 0; i < num_labels; ++i) out[i] += x[i] / double(log_likelihoods.size());
  }
  return out;
}

by_label calibrated(const by_label& log_likelihoods, const by_label& bias) {
  by_label out{};
  for (size_t i = 0; i < num_labels; ++i) out[i] = log_likelihoods[i] - bias[i];
  const double top = *std::max_element(out.begin(), out.end());
  double sum = 0;
  for (auto& x : out) sum += x = std::exp(x - top);
  for (auto& x : out) x /= sum;
  return out;
}

size_t best_label(const by_label& probabilities) {
  return size_t(std::max_element(probabilities.begin(), probabilities.end()) -
                probabilities.begin());
}

double mood_of(const by_label& probabilities) {
  return probabilities[0] - probabilities[1];
}

}  // namespace llmos::examples
