#pragma once

#include <array>
#include <string>
#include <vector>

namespace llmos::examples {

constexpr size_t num_labels = 3;
constexpr std::array<const char*, num_labels> label_names = {"positive", "negative", "neutral"};

/// One number for each label.
using by_label = std::array<double, num_labels>;

/// What the model reads: three examples and the headline. It ends where a label goes on.
std::string prompt_of(const std::string& headline);

/// The labels as they go on behind the prompt.
std::vector<std::string> label_texts();

/// Headlines of which a third belongs to each label, for the bias.
const std::vector<std::string>& reference_headlines();

/// What the model thinks of each label whatever the headline says: the mean of its log-likelihoods
/// over the reference headlines. REQUIRES: not empty.
by_label bias_of(const std::vector<by_label>& log_likelihoods);

/// Probabilities of the labels: the softmax of the log-likelihoods less the bias.
by_label calibrated(const by_label& log_likelihoods, const by_label& bias);

/// The most probable label; the first of equal ones.
size_t best_label(const by_label& probabilities);

/// From -1, all negative, to 1, all positive.
double mood_of(const by_label& probabilities);

}  // namespace llmos::examples
