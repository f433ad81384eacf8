#pragma once

#include <cstdint>
#include <utility>

namespace llmos::jinja {

/// Bytes that the values of one render may hold at a time.
struct memory_budget {
  uint64_t limit = 0;
  uint64_t used = 0;
};

/// A share of a budget, given back when the payload that owns it dies. Outlived by the budget.
class memory_claim {
public:
  memory_claim() = default;
  /// Throws over_limit when the budget has less than `bytes` left.
  memory_claim(memory_budget& budget, uint64_t bytes);
  memory_claim(memory_claim&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  memory_claim& operator=(memory_claim&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  /// Takes over the share of another claim on the same budget.
  void add(memory_claim other) {
    if (budget_ == nullptr) budget_ = other.budget_;
    bytes_ += other.bytes_;
    other.budget_ = nullptr;
  }
  ~memory_claim() {
    if (budget_ != nullptr) budget_->used -= bytes_;
  }

private:
  memory_budget* budget_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace llmos::jinja
