#pragma once

#include <memory>
#include <utility>

#include "runtime/backend/backend.hpp"

namespace llmos::test {

/// Hands everything on to another backend; a test overrides what it watches or changes.
class wrapped_backend : public backend {
public:
  explicit wrapped_backend(std::unique_ptr<backend> inner) : inner_(std::move(inner)) {}

  const backend_info& info() const override { return inner_->info(); }
  const backend_limits& limits() const override { return inner_->limits(); }
  result<std::span<const float>> forward(const step_batch& b) override {
    return inner_->forward(b);
  }
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override {
    return inner_->copy_blocks(from, to);
  }

protected:
  std::unique_ptr<backend> inner_;
};

}  // namespace llmos::test
