#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

enum class dict_part : uint8_t { keys, values, items };

/// dict.keys(), dict.values() or dict.items().
class dict_view : public object {
public:
  /// REQUIRES: `dict` is a mapping.
  dict_view(value dict, dict_part part) : dict_(std::move(dict)), part_(part) {}

  const char* type_name() const override;
  std::string print(machine& m) override;
  bool is_truthy() const override { return !dict_.mapping().entries().empty(); }
  std::optional<size_t> length(machine&) override { return dict_.mapping().entries().size(); }
  std::shared_ptr<iterator> iterate(machine&) override;
  std::shared_ptr<iterator> iterate_reversed(machine&) override;
  uint32_t depth() const override { return dict_.depth(); }

private:
  value dict_;
  dict_part part_;
};

/// range(start, stop, step).
class range : public object {
public:
  /// REQUIRES: step != 0.
  range(int64_t start, int64_t stop, int64_t step);

  const char* type_name() const override { return "range"; }
  std::string print(machine& m) override;
  bool is_truthy() const override { return count_ != 0; }
  std::optional<size_t> length(machine&) override { return count_; }
  std::shared_ptr<iterator> iterate(machine&) override;
  std::shared_ptr<iterator> iterate_reversed(machine&) override;
  std::optional<value> attribute(machine& m, std::string_view name) override;
  std::optional<value> item(machine& m, const value& key) override;
  bool is_subscriptable() const override { return true; }

  uint64_t count() const { return count_; }

private:
  int64_t at(uint64_t i) const;

  int64_t start_, stop_, step_;
  uint64_t count_;
};

}  // namespace llmos::jinja
