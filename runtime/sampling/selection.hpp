#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/types.hpp"
#include "runtime/sampling/cut.hpp"
#include "runtime/sampling/passes.hpp"

namespace llmos {

/// The tokens that may still be chosen, in order of id, and the filters that reduce them. Each
/// filter sees the softmax of what is there. Keeps its working memory, 48 bytes for each token of
/// the largest vocabulary seen, and allocates only when one is larger than all before.
class selection {
public:
  explicit selection(const pass_table& passes) : passes_(&passes), finder_(passes) {}

  /// Takes all tokens; those at -infinity are the last in every order and pass no filter. The
  /// logits must stay while the selection is in use. REQUIRES: neither NaN nor +infinity; top is
  /// the largest logit.
  void start(std::span<const float> logits, float top);

  /// The k likeliest, or all where there are fewer. `tops`: those of the passes, of the logits that
  /// the selection started with, no filter before. REQUIRES: k > 0.
  void keep_likeliest(size_t k, std::span<const float> tops);

  // REQUIRES for all that follows: top is above -infinity.

  /// The sum of all weights (weights.hpp), after division of the logits by `temperature`.
  uint64_t weigh(float temperature);

  /// Locally typical sampling (Meister, Pimentel, Wiher and Cotterell, 2022): the tokens whose
  /// surprise -ln p is nearest to the expected surprise, until their mass exceeds `mass`.
  /// REQUIRES: 0 < mass < 1.
  void keep_typical(float mass);

  /// Nucleus sampling: the likeliest tokens, until their mass reaches `mass`. REQUIRES: as above.
  void keep_top_mass(float mass);

  /// The tokens at least min_p times as likely as the likeliest. REQUIRES: 0 < min_p <= 1.
  void keep_at_least(float min_p);

  /// The token in which, in order of likelihood, `uniform` of the mass ends. REQUIRES: uniform in
  /// [0, 1).
  token_id draw(float uniform, float temperature);

  /// Of the tokens that are left.
  std::span<const float> logits() const { return logits_; }
  token_id id_of(size_t place) const {
    return has_all_ ? static_cast<token_id>(place) : kept_ids_[place];
  }

private:
  float guess_kth(size_t k, std::span<const float> tops);
  bool keep_tied(size_t k, float bound);
  uint32_t find_likely(uint64_t target, float bound);
  float guess_bound(uint64_t tail, float temperature) const;
  size_t list_at_least(float bound);
  size_t list_until(const token_order& order, uint32_t place);
  void keep_listed(size_t n);
  void keep_likely_until(uint32_t place);

  const pass_table* passes_;
  cut_finder finder_;
  std::span<const float> logits_;  // the tokens': all in the beginning, then in kept_logits_
  float top_ = 0;                  // the largest of them
  bool has_all_ = true;            // ids are places
  std::vector<float> kept_logits_;
  std::vector<token_id> kept_ids_;
  std::vector<float> p_;  // the tokens' weights as fractions of 1
  std::vector<float> tops_;
  std::vector<uint32_t> places_;  // of tokens to keep
};

}  // namespace llmos
