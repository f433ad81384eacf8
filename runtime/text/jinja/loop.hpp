#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// The variable `loop` of a for loop, and the loop's way through its items. It looks one item ahead
/// only when `last` or `nextitem` ask for it.
class loop_context : public object, public std::enable_shared_from_this<loop_context> {
public:
  /// Renders the body of a recursive loop over another iterable, one level deeper.
  using recursion = std::function<value(const value& iterable, int64_t depth0)>;

  /// `sized` is the iterable if its length is known without walking, else missing.
  loop_context(std::shared_ptr<iterator> items, value sized, recursion recurse, int64_t depth0);

  /// The next item, for the loop itself.
  std::optional<value> advance(machine& m);
  /// Something has it that outlives the loop. What it saw last can hold another such loop and so
  /// on, for the destructors to follow: the machine keeps them all until the end.
  void keep(machine& m);
  /// The loop is over: its items may refer to variables that are gone.
  void detach();

  const char* type_name() const override { return "LoopContext"; }
  std::string print(machine& m) override;
  std::optional<size_t> length(machine& m) override;
  std::optional<value> attribute(machine& m, std::string_view name) override;
  bool is_callable() const override { return true; }
  value call(machine& m, arguments args) override;
  uint32_t depth() const override { return depth_; }
  void release() override { before_ = last_changed_ = value(); }

private:
  const std::optional<value>& peek(machine& m);
  value changed(machine& m, const arguments& args);

  std::shared_ptr<iterator> items_;
  value sized_;
  recursion recurse_;
  int64_t depth0_;
  uint32_t depth_;
  int64_t index0_ = -1;
  std::optional<size_t> length_;
  std::optional<value> after_;  ///< The item that was looked at ahead.
  value current_, before_;
  value last_changed_;
  bool is_kept_ = false;
};

}  // namespace llmos::jinja
