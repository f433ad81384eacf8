#pragma once

#include <cstdint>
#include <span>

#include "runtime/schedule/prompt_lookup.hpp"

namespace llmos {

/// What a further row costs in a step that only decodes, learned from such steps: a line through
/// rows and times in which older steps fade. Where nothing was seen lately it goes back to what is
/// usual, so a wrong belief does not last.
class step_cost {
public:
  /// A step of `rows` rows, each with logits, took `us`.
  void observe(uint32_t rows, uint64_t us);

  /// Cost of each row behind the first, as a share of a step of one row: 0.05 to 1.
  double of_row() const;

private:
  /// Fading sums over steps: 1, rows, us, rows², rows · us.
  double n_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
};

/// One sequence that decodes in a step, and how many guesses it may and shall verify there.
struct draft_bid {
  const prompt_lookup* lookup = nullptr;
  uint32_t room = 0;   ///< Most guesses that it has room for.
  uint32_t given = 0;  ///< Guesses that it verifies.
};

/// Most guesses of one sequence in one step: with its own token eight rows, which the CPU kernels
/// take as one item.
constexpr uint32_t max_drafts = 7;

/// Gives up to `rows` rows to the bids, one by one where the chance is best, for as long as the
/// step's expected tokens per time go up. `bids`: all sequences that decode in the step;
/// `row_cost`: step_cost::of_row.
void share_drafts(std::span<draft_bid> bids, uint32_t rows, double row_cost);

}  // namespace llmos
