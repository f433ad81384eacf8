#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja/object.hpp"
#include "runtime/text/jinja/value.hpp"

namespace llmos::jinja {

/// What one render may use and has used; it makes every value, so that each one is counted.
/// Everything made here dies before it.
class machine {
public:
  machine(const template_limits& limits, std::chrono::sys_seconds now);

  /// Counts `n` evaluated nodes. Throws at the limit.
  void step(uint64_t n = 1) {
    steps_ += n;
    if (steps_ > limits_.max_steps) too_many_steps();
  }
  // The work of builtins in steps of about the same time: on bytes that are copied or compared,
  // that are searched, and that are looked at one character at a time.
  void work(uint64_t bytes) { step(bytes / 256); }
  void search(uint64_t bytes) { step(bytes / 64); }
  void scan(uint64_t bytes) { step(bytes / 16); }
  /// Throws when a text of `bytes` is longer than any output may be.
  void check_length(uint64_t bytes) const;
  /// Throws when a list of `count` items takes more steps or bytes than are left.
  void check_count(uint64_t count) const;

  value make_text(std::string bytes, bool is_markup = false);
  value make_list(std::vector<value> items);
  value make_tuple(std::vector<value> items);
  value make_dict(std::shared_ptr<mapping> entries);
  /// Takes an object into account, and `bytes` that it holds in no value. Throws when it nests too
  /// deeply.
  value make_object(std::shared_ptr<object> x, uint64_t bytes = 0);
  /// `name`, cut to what an error text needs of it, is the name or the whole text for `other`.
  value make_undefined(undefined_origin::source from, std::string_view name,
                       const char* type_name = nullptr);
  /// Takes the entries of a dict that is no value yet into account.
  void count_entries(mapping& entries);
  /// Takes `bytes` that something else than a value will hold.
  memory_claim claim(uint64_t bytes) { return {memory_, bytes}; }
  /// Keeps an object that can be part of a cycle, or of a chain without end, until
  /// `release_cycles`.
  void keep_until_end(std::shared_ptr<object> x);
  /// Empties the kept objects. Nothing can be evaluated afterwards.
  void release_cycles();

  const template_limits& limits() const { return limits_; }
  std::chrono::sys_seconds now() const { return now_; }

  uint32_t line = 0;  ///< Of the node that is being evaluated.

private:
  friend class depth_guard;

  [[noreturn]] void too_many_steps() const;
  value make_sequence(std::vector<value> items, bool is_tuple);

  template_limits limits_;
  std::chrono::sys_seconds now_;
  memory_budget memory_;
  uint64_t steps_ = 0;
  uint32_t depth_ = 0;
  std::vector<std::pair<std::shared_ptr<object>, memory_claim>> kept_;
};

/// Holds one level of the interpreter's recursion. Throws when there are too many: the native
/// stack is what would overflow.
class depth_guard {
public:
  explicit depth_guard(machine& m);
  ~depth_guard() { --machine_.depth_; }
  depth_guard(const depth_guard&) = delete;
  depth_guard& operator=(const depth_guard&) = delete;

private:
  machine& machine_;
};

/// Nesting of containers that values may have; printing and comparing them recurse.
inline constexpr uint32_t max_value_depth = 256;

}  // namespace llmos::jinja
