#include "tools/examples/recommender/ranking.hpp"

#include <algorithm>

namespace llmos::examples {

std::string prompt_of(const std::vector<const item*>& likes) {
  std::string out = "A reader likes these titles:\n";
  const size_t num_left_out = likes.size() - std::min(likes.size(), max_likes_shown);
  for (size_t i = num_left_out; i < likes.size(); ++i) out += "-" + entry_of(*likes[i]) + "\n";
  return out + "-";
}

std::string entry_of(const item& x) {
  return " " + x.category + ": " + x.title;
}

std::vector<ranked> rank(const std::vector<const item*>& items, const std::vector<double>& theirs,
                         const std::vector<double>& nobodys) {
  std::vector<ranked> out;
  for (size_t i = 0; i < items.size(); ++i) out.push_back({items[i], theirs[i] - nobodys[i]});
  std::stable_sort(out.begin(), out.end(),
                   [](const ranked& a, const ranked& b) { return a.score > b.score; });
  return out;
}

std::string opening_of(const item& x, const std::vector<const item*>& likes) {
  const bool is_known = std::any_of(likes.begin(), likes.end(),
                                    [&](const item* y) { return y->category == x.category; });
  return is_known ? "You like " + x.category + ", and this book" : "This book";
}

std::string explanation_prompt(const item& x, const std::vector<const item*>& likes) {
  std::string liked;
  const size_t first = likes.size() - std::min<size_t>(likes.size(), 3);
  for (size_t i = first; i < likes.size(); ++i) {
    liked += (liked.empty() ? "" : "; ") + likes[i]->title;
  }
  return "Liked: Trains of Japan; Across Asia by rail\n"
         "Title: Night trains of Europe. Sleeping cars, borders and stations.\n"
         "Why: You like to travel by rail, and this book takes you through Europe while you "
         "sleep.\n\n"
         "Liked: Chess openings; The endgame\n"
         "Title: Great games of chess. Fifty games with every move explained.\n"
         "Why: You like to think about chess, and this book explains fifty great games move by "
         "move.\n\n"
         "Liked: " +
         (liked.empty() ? "nothing yet" : liked) + "\nTitle: " + x.title + ". " + x.description +
         "\nWhy: " + opening_of(x, likes);
}

const std::vector<std::string>& sentence_ends() {
  static const std::vector<std::string> all = {". ", ".\n", "! ", "? ", "\n"};
  return all;
}

std::string sentence_of(const std::string& words, const std::string& end, bool was_cut) {
  if (was_cut) return words + "…";
  if (end.empty()) return words;
  return words + (end == "\n" ? '.' : end[0]);
}

}  // namespace llmos::examples
