#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// What a block has printed so far. Blocks nest, so it counts as memory before it is a value.
class output {
public:
  explicit output(machine& m) : machine_(m) {}

  /// Throws when it gets longer than any text may be.
  void print(std::string_view s) {
    const size_t size = text_.size() + s.size();
    machine_.check_length(size);
    machine_.work(s.size());
    if (size > text_.capacity()) grow(size);
    text_ += s;
  }

  /// All of it; nothing is left.
  std::string take() {
    claim_ = memory_claim();
    return std::move(text_);
  }

private:
  void grow(size_t size) {
    const size_t capacity = std::max(size, 2 * text_.capacity());
    claim_ = machine_.claim(capacity);
    text_.reserve(capacity);
  }

  machine& machine_;
  std::string text_;
  memory_claim claim_;
};

}  // namespace llmos::jinja
