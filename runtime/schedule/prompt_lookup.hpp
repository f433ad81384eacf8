#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/types.hpp"

namespace llmos {

/// Guesses how one sequence goes on from its own text: when its last tokens stood there before,
/// what followed them then is the guess. A guess that comes true is followed on and its match
/// grows. Every token is compared with its guess, whether or not anybody acted on it, so the chance
/// that a guess comes true is known before a step is spent on one.
class prompt_lookup {
public:
  /// `num_prompt`: tokens that were given, whose guesses say nothing of the model. `max_tokens`:
  /// longest the sequence will be; 8 to 16 bytes are taken for each.
  prompt_lookup(uint32_t num_prompt, uint32_t max_tokens);

  /// Takes in what `tokens` has behind those of the last call, at most `catch_up` of them: 30 µs.
  /// There is no guess until it has all. REQUIRES: `tokens` begins with those of the last call.
  void extend(std::span<const token_id> tokens);

  /// Chance that guess `i` comes true if those before it did: 0 to 1; 0 without a guess.
  double chance(uint32_t i) const;

  /// The next `n` tokens. REQUIRES: the last call of `extend` was with `tokens`; chance(0) > 0.
  std::vector<token_id> guess(std::span<const token_id> tokens, uint32_t n) const;

  static constexpr uint32_t catch_up = 1024;

private:
  /// How often guesses behind matches of one range of lengths came true, older ones counting less.
  struct record {
    double hits, tries;
  };
  static constexpr size_t num_ranges = 7;

  void compare(std::span<const token_id> tokens);
  void follow(std::span<const token_id> tokens);
  std::optional<uint32_t> look_up(std::span<const token_id> tokens);
  static size_t range_of(uint32_t length);

  uint32_t num_prompt_;
  uint32_t num_known_ = 0;
  std::vector<uint32_t> next_of_;  ///< By hash of n tokens: what stood behind them last; 0 = none.
  uint32_t next_ = 0;              ///< Position of the guess; 0 = none.
  uint32_t length_ = 0;            ///< Tokens before it that agree with the last ones.
  std::array<record, num_ranges> records_;
};

}  // namespace llmos
