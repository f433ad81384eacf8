#include "runtime/text/jinja/filters.hpp"

#include <algorithm>
#include <string>

#include "runtime/text/jinja/access.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/numbers.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

value path_part(machine& m, const std::string& s) {
  const bool is_index = !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
  return is_index ? value(*parse_integer(s)) : m.make_text(s);
}

}  // namespace

void check_attribute_length(size_t bytes) {
  constexpr size_t max = 4096;
  if (bytes > max) {
    fail_limit("the attribute of a filter is longer than " + std::to_string(max) + " bytes");
  }
}

attribute_path::attribute_path(machine& m, const value* attribute, bool folds_case,
                               const value* otherwise)
    : folds_case_(folds_case) {
  if (otherwise != nullptr && !otherwise->is_none()) otherwise_ = *otherwise;
  if (attribute == nullptr || attribute->is_none()) return;
  if (!attribute->is_text()) {
    parts_.push_back(*attribute);
    return;
  }
  const std::string& s = attribute->bytes();
  check_attribute_length(s.size());
  for (size_t from = 0; from <= s.size();) {
    const size_t dot = std::min(s.find('.', from), s.size());
    parts_.push_back(path_part(m, s.substr(from, dot - from)));
    from = dot + 1;
  }
}

value attribute_path::get(machine& m, const value& item) const {
  value out = item;
  for (const value& part : parts_) {
    m.step();
    out = get_item(m, out, part);
    if (out.is_undefined() && otherwise_) out = *otherwise_;
  }
  if (folds_case_ && out.is_text()) {
    m.scan(out.bytes().size());
    return m.make_text(to_lower(out.bytes()));
  }
  return out;
}

const builtin_filter* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), sequence_filters(), number_filters()}) {
    const auto it = std::find_if(table.begin(), table.end(),
                                 [name](const builtin_filter& f) { return f.name == name; });
    if (it != table.end()) return &*it;
  }
  return nullptr;
}

}  // namespace llmos::jinja
