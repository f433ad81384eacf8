#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/base/check.hpp"
#include "tests/support/wrapped_backend.hpp"

namespace llmos::test {

/// A device that runs ahead, made of any backend: a step is computed when somebody waits for it,
/// which may be another thread. It chooses the likeliest tokens, whatever it is told.
class ahead_backend : public wrapped_backend {
public:
  /// `steps_to_failure`: counts down with each step; that which takes it to 0 fails.
  ahead_backend(std::unique_ptr<backend> inner, std::atomic<int>* steps_to_failure)
      : wrapped_backend(std::move(inner)), steps_to_failure_(steps_to_failure) {}

  result<std::span<const float>> forward(const step_batch& b) override {
    LLMOS_CHECK(steps_.empty());
    return inner_->forward(b);
  }

  bool chooses() const override { return true; }
  bool runs_ahead() const override { return true; }
  result<void> begin(const step_batch& b, const step_choices&) override {
    const std::lock_guard lock(mutex_);
    LLMOS_CHECK(steps_.size() < 2);
    step& mine = *steps_.emplace_back(std::make_unique<step>());
    mine.tokens.assign(b.tokens.begin(), b.tokens.end());
    mine.seqs.assign(b.seqs.begin(), b.seqs.end());
    for (const auto& s : b.seqs) mine.blocks.emplace_back(s.blocks.begin(), s.blocks.end());
    mine.logit_rows.assign(b.logit_rows.begin(), b.logit_rows.end());
    max_begun = std::max<size_t>(max_begun, steps_.size());
    return {};
  }
  void wait() override {
    const std::lock_guard lock(mutex_);
    for (const auto& s : steps_) {
      if (!s->is_computed) return compute(*s);
    }
  }
  result<std::span<const token_id>> finish() override {
    const std::lock_guard lock(mutex_);
    last_ = std::move(steps_.front());
    steps_.pop_front();
    if (!last_->is_computed) compute(*last_);
    if (last_->failed) return failure{ec::engine_failed, "injected", ""};
    return std::span<const token_id>{last_->chosen};
  }

  std::atomic<size_t> max_begun = 0;  ///< Most steps that were begun and not finished.

private:
  struct step {
    std::vector<token_id> tokens, chosen;
    std::vector<sequence_rows> seqs;
    std::vector<std::vector<block_id>> blocks;
    std::vector<uint32_t> logit_rows;
    bool is_computed = false, failed = false;
  };

  void compute(step& s) {
    s.is_computed = true;
    s.failed = steps_to_failure_->fetch_sub(1) == 1;
    for (token_id& t : s.tokens) {
      if (t < 0) t = chosen_before_.at(static_cast<size_t>(-1 - t));
    }
    for (size_t i = 0; i < s.seqs.size(); ++i) s.seqs[i].blocks = s.blocks[i];
    const auto logits = inner_->forward({s.tokens, s.seqs, s.logit_rows}).value();
    const size_t n_vocab = s.logit_rows.empty() ? 0 : logits.size() / s.logit_rows.size();
    for (size_t i = 0; i < s.logit_rows.size(); ++i) {
      const auto row = logits.subspan(i * n_vocab, n_vocab);
      s.chosen.push_back(
          static_cast<token_id>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    chosen_before_ = s.chosen;
  }

  std::atomic<int>* steps_to_failure_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<step>> steps_;
  std::unique_ptr<step> last_;
  std::vector<token_id> chosen_before_;
};

}  // namespace llmos::test
