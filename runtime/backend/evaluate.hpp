#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/backend/backend.hpp"

namespace llmos {

/// One sequence fed through a backend that serves nobody else: it takes blocks 0, 1, … of the pool.
class solo_sequence {
public:
  explicit solo_sequence(backend& b);

  /// Most tokens that `next` takes at once.
  size_t rows_max() const;
  /// Starts an empty sequence in the same blocks.
  void reset() { num_past_ = 0; }
  /// Appends 1 to rows_max() tokens; returns the logits of each, [tokens.size(), n_vocab], valid
  /// until the next call. Errors: those of `backend::forward`.
  result<std::span<const float>> next(std::span<const token_id> tokens);

private:
  backend& backend_;
  std::vector<block_id> blocks_;
  std::vector<uint32_t> rows_;
  uint32_t num_past_ = 0;
};

/// How a long text is cut: windows of `window_tokens` (with `bos`), each begun with an empty cache.
struct window_options {
  uint32_t window_tokens = 512;
  std::optional<token_id> bos;  ///< Put before every window's tokens.
  /// Tokens at each window's start that are context only; llama-perplexity takes half a window.
  uint32_t num_unscored = 0;
};

/// How well a backend predicts a text.
struct text_score {
  uint64_t num_scored = 0;  ///< Tokens predicted: those with a predecessor in their window.
  double nll = 0;           ///< Sum of -ln p(token), in nats.

  double perplexity() const;
};

/// How far one backend's predictions are from another's on the same tokens.
struct divergence {
  uint64_t num_positions = 0;
  uint64_t num_same_top = 0;  ///< Positions where both find the same token most likely.
  double kl = 0;              ///< Sum of KL(base ‖ other), in nats.
  text_score base;
  text_score other;

  double mean_kl() const;
  double same_top_share() const;
  /// perplexity(other) / perplexity(base) - 1.
  double perplexity_gap() const;
};

/// Perplexity of `tokens`; `on_window` hears the running score after each window.
/// Errors: invalid_argument (no token to predict, a window over the backend's context or pool).
result<text_score> evaluate(backend& b, std::span<const token_id> tokens,
                            const window_options& options = {},
                            const std::function<void(const text_score&)>& on_window = {});

/// Both backends over the same windows; each position but the unscored ones counts.
/// Errors: as `evaluate`; also invalid_argument when the vocabularies differ.
result<divergence> compare(backend& base, backend& other, std::span<const token_id> tokens,
                           const window_options& options = {},
                           const std::function<void(const divergence&)>& on_window = {});

/// Writes the logits of one sequence as a NumPy file: little-endian float32 [n_tokens, n_vocab].
/// Errors: invalid_argument (no token), over_context, io_error (names the path).
result<void> write_logits(backend& b, std::span<const token_id> tokens, const std::string& path);

}  // namespace llmos
