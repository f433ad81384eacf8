#include "runtime/text/jinja/machine.hpp"

#include <algorithm>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

/// A nested construct of the source costs a few levels of the interpreter each time it runs.
constexpr uint32_t levels_per_nesting = 8;

/// Items of a list that are copied in a step.
constexpr uint64_t items_per_step = 4;

/// What a payload costs beyond its items, roughly: control block, vector, allocation headers.
constexpr uint64_t payload_overhead = 96;
constexpr uint64_t object_overhead = 256;

constexpr size_t max_name_in_error = 200;

void check_depth(uint32_t depth) {
  if (depth > max_value_depth) {
    fail_limit("values nest deeper than " + std::to_string(max_value_depth));
  }
}

[[noreturn]] void fail_memory(uint64_t limit) {
  fail_limit("the template's values take more than " + std::to_string(limit) + " bytes");
}

uint32_t depth_over(const std::vector<value>& items) {
  uint32_t deepest = 0;
  for (const value& x : items) deepest = std::max(deepest, x.depth());
  return deepest + 1;
}

}  // namespace

memory_claim::memory_claim(memory_budget& budget, uint64_t bytes) : bytes_(bytes) {
  if (bytes > budget.limit - budget.used) fail_memory(budget.limit);
  budget_ = &budget;
  budget.used += bytes;
}

machine::machine(const template_limits& limits, std::chrono::sys_seconds now)
    : limits_(limits), now_(now), memory_{limits.max_memory_bytes, 0} {}

void machine::too_many_steps() const {
  fail_limit("the template takes more than " + std::to_string(limits_.max_steps) + " steps");
}

void machine::check_length(uint64_t bytes) const {
  if (bytes > limits_.max_output_bytes) {
    fail_limit("a text of the template is longer than " + std::to_string(limits_.max_output_bytes) +
               " bytes");
  }
}

void machine::check_count(uint64_t count) const {
  if (count > limits_.max_steps - steps_) too_many_steps();
  if (count > (memory_.limit - memory_.used) / sizeof(value)) fail_memory(memory_.limit);
}

value machine::make_text(std::string bytes, bool is_markup) {
  check_length(bytes.size());
  step(1 + bytes.size() / 256);
  auto out = std::make_shared<text>();
  out->claim = memory_claim(memory_, bytes.size() + payload_overhead);
  out->length = count_code_points(bytes);
  out->is_markup = is_markup;
  out->bytes = std::move(bytes);
  return value(std::shared_ptr<const text>(std::move(out)));
}

value machine::make_sequence(std::vector<value> items, bool is_tuple) {
  step(1 + items.size() / items_per_step);
  auto out = std::make_shared<sequence>();
  out->claim = memory_claim(memory_, items.size() * sizeof(value) + payload_overhead);
  out->depth = depth_over(items);
  check_depth(out->depth);
  out->is_tuple = is_tuple;
  out->items = std::move(items);
  return value(std::shared_ptr<const sequence>(std::move(out)));
}

value machine::make_list(std::vector<value> items) {
  return make_sequence(std::move(items), false);
}

value machine::make_tuple(std::vector<value> items) {
  return make_sequence(std::move(items), true);
}

value machine::make_dict(std::shared_ptr<mapping> entries) {
  count_entries(*entries);
  return value(std::shared_ptr<const mapping>(std::move(entries)));
}

void machine::count_entries(mapping& entries) {
  step(1 + entries.entries().size() / items_per_step);
  check_depth(entries.depth);
  entries.claim = claim(entries.entries().size() * mapping::entry_bytes + payload_overhead);
}

value machine::make_object(std::shared_ptr<object> x, uint64_t bytes) {
  step();
  check_depth(x->depth());
  x->claim_ = claim(object_overhead + bytes);
  return value(std::move(x));
}

value machine::make_undefined(undefined_origin::source from, std::string_view name,
                              const char* type_name) {
  auto out = std::make_shared<undefined_origin>();
  out->claim = claim(payload_overhead + std::min(name.size(), max_name_in_error));
  out->from = from;
  out->name = shortened(name, max_name_in_error);
  out->type_name = type_name;
  return value(std::shared_ptr<const undefined_origin>(std::move(out)));
}

void machine::keep_until_end(std::shared_ptr<object> x) {
  kept_.emplace_back(std::move(x), claim(payload_overhead));
}

void machine::release_cycles() {
  for (const auto& [x, held] : kept_) x->release();
  kept_.clear();
}

depth_guard::depth_guard(machine& m) : machine_(m) {
  if (m.depth_ >= m.limits_.max_depth * levels_per_nesting) {
    fail_limit("the template nests deeper than its limit of " +
               std::to_string(m.limits_.max_depth));
  }
  ++m.depth_;
}

}  // namespace llmos::jinja
