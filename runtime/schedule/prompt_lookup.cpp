#include "runtime/schedule/prompt_lookup.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

/// Longer first: it finds the right place in a long text, the shorter one finds some place early.
constexpr uint32_t sizes[] = {4, 2};

/// First match length of each range, and what share of guesses is taken to come true there at
/// first: somewhat less than over 66 answers of SmolLM2-135M (copies, quotes, code, chat), where
/// it was 0.52, 0.56, 0.69, 0.78, 0.87, 0.92 and 0.98.
constexpr uint32_t range_begins[] = {2, 3, 4, 5, 7, 10, 17};
constexpr double usual_chance[] = {.35, .4, .5, .6, .7, .8, .9};
constexpr double usual_weight = 8;  // as many tries of its own tell as much
constexpr double fading = 0.97;     // of a try, with each later one

uint64_t hash_of(std::span<const token_id> tokens) {
  uint64_t h = tokens.size();
  for (const auto t : tokens) h = (h ^ static_cast<uint32_t>(t)) * 0x9e3779b97f4a7c15u;
  return h;
}

}  // namespace

prompt_lookup::prompt_lookup(uint32_t num_prompt, uint32_t max_tokens)
    : num_prompt_(num_prompt),
      next_of_(std::bit_ceil(std::size(sizes) * (size_t{max_tokens} + 1))) {
  static_assert(std::size(range_begins) == num_ranges && std::size(usual_chance) == num_ranges);
  for (size_t i = 0; i < num_ranges; ++i) {
    records_[i] = {usual_chance[i] * usual_weight, usual_weight};
  }
}

void prompt_lookup::extend(std::span<const token_id> tokens) {
  LLMOS_DCHECK(tokens.size() >= num_known_);
  const auto end = std::min<size_t>(tokens.size(), size_t{num_known_} + catch_up);
  while (num_known_ < end) {
    const auto known = tokens.first(++num_known_);
    if (next_ != 0) compare(known);
    const auto found = look_up(known);
    if (next_ != 0 || !found || known.size() < num_prompt_) continue;
    next_ = *found;
    follow(known);
  }
  if (num_known_ < tokens.size()) next_ = 0;
}

/// The last token against its guess.
void prompt_lookup::compare(std::span<const token_id> tokens) {
  const bool hit = tokens[next_] == tokens.back();
  auto& r = records_[range_of(length_)];
  r = {r.hits * fading + (hit ? 1 : 0), r.tries * fading + 1};
  next_ = hit ? next_ + 1 : 0;
  ++length_;
}

/// How far back the text before the guess agrees with the last tokens; more than the last range
/// begins with need not be known.
void prompt_lookup::follow(std::span<const token_id> tokens) {
  const auto most = std::min<size_t>(next_, range_begins[num_ranges - 1]);
  const auto before = tokens.first(next_);
  const auto differ = std::mismatch(
      before.rbegin(), before.rbegin() + static_cast<std::ptrdiff_t>(most), tokens.rbegin());
  length_ = static_cast<uint32_t>(differ.first - before.rbegin());
}

/// Where the last tokens stood before, and what they are followed by from now on.
std::optional<uint32_t> prompt_lookup::look_up(std::span<const token_id> tokens) {
  std::optional<uint32_t> found;
  for (const auto n : sizes) {
    if (tokens.size() < n) continue;
    const auto last = tokens.last(n);
    auto& next = next_of_[hash_of(last) >> (64 - std::countr_zero(next_of_.size()))];
    // Not here, which the longer size may just have put into the same place of the table.
    const bool before = next >= n && next < tokens.size();
    const bool same = before && std::equal(last.begin(), last.end(), tokens.begin() + (next - n));
    if (same && !found) found = next;
    next = static_cast<uint32_t>(tokens.size());
  }
  return found;
}

size_t prompt_lookup::range_of(uint32_t length) {
  const auto above = std::upper_bound(std::begin(range_begins), std::end(range_begins), length);
  return static_cast<size_t>(above - std::begin(range_begins)) - 1;
}

double prompt_lookup::chance(uint32_t i) const {
  if (next_ == 0) return 0;
  const auto& r = records_[range_of(length_ + i)];
  return r.hits / r.tries;
}

/// A guess that reaches the end of the text goes on with itself: a text in a loop stays there.
std::vector<token_id> prompt_lookup::guess(std::span<const token_id> tokens, uint32_t n) const {
  LLMOS_CHECK(next_ != 0 && tokens.size() == num_known_);
  std::vector<token_id> out(n);
  for (uint32_t i = 0; i < n; ++i) {
    const auto at = size_t{next_} + i;
    out[i] = at < tokens.size() ? tokens[at] : out[at - tokens.size()];
  }
  return out;
}

}  // namespace llmos
