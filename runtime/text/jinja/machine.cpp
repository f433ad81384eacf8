#include "runtime/text/jinja/machine.hpp"

#include <algorithm>

#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

/// A nested construct of the source costs a few levels of the interpreter each time it runs.
constexpr uint32_t levels_per_nesting = 8;

/// What a payload costs beyond its items, roughly: control block, vector, allocation headers.
constexpr uint64_t payload_overhead = 96;

void check_depth(uint32_t depth) {
  if (depth > max_value_depth) {
    fail_limit("values nest deeper than " + std::to_string(max_value_depth));
  }
}

uint32_t depth_over(const std::vector<value>& items) {
  uint32_t deepest = 0;
  for (const value& x : items) deepest = std::max(deepest, x.depth());
  return deepest + 1;
}

}  // namespace

memory_claim::memory_claim(memory_budget& budget, uint64_t bytes) : bytes_(bytes) {
  if (bytes > budget.limit - budget.used) {
    fail_limit("the template's values take more than " + std::to_string(budget.limit) + " bytes");
  }
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
}

value machine::make_text(std::string bytes, bool is_markup) {
  check_length(bytes.size());
  work(bytes.size());
  auto out = std::make_shared<text>();
  out->claim = memory_claim(memory_, bytes.size() + payload_overhead);
  out->length = count_code_points(bytes);
  out->is_markup = is_markup;
  out->bytes = std::move(bytes);
  return value(std::shared_ptr<const text>(std::move(out)));
}

value machine::make_sequence(std::vector<value> items, bool is_tuple) {
  step(items.size() / 16);
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
  step(entries->entries().size() / 16);
  check_depth(entries->depth);
  const uint64_t per_entry = sizeof(mapping::entry) + 48;  // with its place in the hash index
  entries->claim = memory_claim(memory_, entries->entries().size() * per_entry + payload_overhead);
  return value(std::shared_ptr<const mapping>(std::move(entries)));
}

value machine::make_object(std::shared_ptr<object> x) {
  step();
  check_depth(x->depth());
  return value(std::move(x));
}

void machine::keep_until_end(std::shared_ptr<object> x) {
  constexpr uint64_t object_size = 256;
  kept_.emplace_back(std::move(x), claim(object_size));
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

value make_undefined(undefined_origin::source from, std::string name, const char* type_name) {
  return value(std::shared_ptr<const undefined_origin>(
      std::make_shared<undefined_origin>(undefined_origin{from, std::move(name), type_name})));
}

}  // namespace llmos::jinja
