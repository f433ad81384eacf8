#include "runtime/sampling/stop_matcher.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "runtime/base/check.hpp"

namespace llmos {

stop_matcher::stop_matcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& s : stops_) LLMOS_CHECK(!s.empty());
  std::ranges::stable_sort(stops_, std::greater{}, &std::string::size);
}

std::string stop_matcher::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  return advance(false);
}

std::string stop_matcher::flush() {
  if (matched_) return {};
  return advance(true);
}

/// Gives away held_ up to the first byte where a stop string begins or, before the end, may begin.
std::string stop_matcher::advance(bool is_end) {
  for (size_t start = 0; start < held_.size(); ++start) {
    const std::string_view rest = std::string_view(held_).substr(start);
    bool may_begin = false;
    for (const std::string& stop : stops_) {  // the longest first
      if (rest.starts_with(stop)) {
        matched_ = stop;
        return std::exchange(held_, {}).substr(0, start);
      }
      may_begin = may_begin || std::string_view(stop).starts_with(rest);
    }
    if (may_begin && !is_end) {
      std::string out = held_.substr(0, start);
      held_.erase(0, start);
      return out;
    }
  }
  return std::exchange(held_, {});
}

}  // namespace llmos
