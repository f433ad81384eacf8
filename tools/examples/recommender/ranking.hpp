#pragma once

#include <string>
#include <vector>

#include "tools/examples/recommender/catalogue.hpp"

namespace llmos::examples {

/// Likes that the model is shown, the newest.
constexpr size_t max_likes_shown = 10;

/// A list of what a reader likes, which ends where the next entry goes on. Without likes it is what
/// the model reads of nobody in particular.
std::string prompt_of(const std::vector<const item*>& likes);

/// An item as an entry of the list, behind the prompt.
std::string entry_of(const item& x);

struct ranked {
  const item* what = nullptr;
  double score = 0;
};

/// The best first, in the order that they had where they are equal. A score says how much likelier
/// the profile makes the entry: its log-likelihood behind the profile less that behind nobody's.
/// REQUIRES: three of one length.
std::vector<ranked> rank(const std::vector<const item*>& items, const std::vector<double>& theirs,
                         const std::vector<double>& nobodys);

/// How the sentence about an item begins. It says what is known, and leaves the model the rest.
std::string opening_of(const item& x, const std::vector<const item*>& likes);

/// Two examples, the newest three likes and the item, up to the end of the opening.
std::string explanation_prompt(const item& x, const std::vector<const item*>& likes);

/// Texts of which each ends a sentence that others follow.
const std::vector<std::string>& sentence_ends();

/// The sentence whose words are these. `end` is which of the ends stood behind them, and empty
/// where the model stopped by itself; `was_cut` is a sentence that became too long.
std::string sentence_of(const std::string& words, const std::string& end, bool was_cut);

}  // namespace llmos::examples
