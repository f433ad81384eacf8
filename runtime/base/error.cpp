#include "runtime/base/error.hpp"

#include <iterator>

namespace llmos {

namespace {
constexpr const char* names[] = {"none",          "invalid_argument",  "not_found",
                                 "io_error",      "bad_file",          "unsupported",
                                 "over_context",  "out_of_memory",     "overloaded",
                                 "cancelled",     "deadline_exceeded", "shutting_down",
                                 "engine_failed", "over_limit",        "internal"};
}
static_assert(std::size(names) == static_cast<size_t>(ec::count_));

const char* to_string(ec x) {
  const auto i = static_cast<size_t>(x);  // may come from a remote byte
  return i < std::size(names) ? names[i] : "unknown";
}

std::string to_string(const failure& x) {
  std::string out = to_string(x.code);
  out += ": " + x.text;
  if (!x.hint.empty()) out += " (" + x.hint + ")";
  return out;
}

}  // namespace llmos
