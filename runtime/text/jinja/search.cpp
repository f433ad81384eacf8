#include "runtime/text/jinja/search.hpp"

#include <cstring>
#include <string>

namespace llmos::jinja {

namespace {

constexpr size_t npos = std::string_view::npos;

/// Up to this length comparing at every place is as good as anything.
constexpr size_t short_text = 32;

size_t find(std::string_view where, std::string_view what) {
  const void* at = ::memmem(where.data(), where.size(), what.data(), what.size());
  return at == nullptr ? npos : static_cast<size_t>(static_cast<const char*>(at) - where.data());
}

std::string reversed(std::string_view s) {
  return {s.rbegin(), s.rend()};
}

}  // namespace

size_t find_text(machine& m, std::string_view where, std::string_view what) {
  if (what.empty()) return 0;
  const size_t at = find(where, what);
  m.search(at == npos ? where.size() : at + what.size());
  return at;
}

size_t find_last_text(machine& m, std::string_view where, std::string_view what) {
  if (what.size() <= short_text) {
    const size_t at = where.rfind(what);
    m.search(at == npos ? where.size() : where.size() - at);
    return at;
  }
  m.search(where.size());
  const size_t at = find(reversed(where), reversed(what));
  return at == npos ? npos : where.size() - at - what.size();
}

}  // namespace llmos::jinja
