#include "runtime/schedule/request.hpp"

#include <iterator>

namespace llmos {

namespace {
constexpr const char* reasons[] = {"stop", "length", "cancelled"};
}
static_assert(std::size(reasons) == static_cast<size_t>(finish_reason::count_));

const char* to_string(finish_reason x) {
  const auto i = static_cast<size_t>(x);
  return i < std::size(reasons) ? reasons[i] : "unknown";
}

double generation_usage::decode_tokens_per_s() const {
  if (completion_tokens < 2 || total_us <= first_token_us) return 0;
  return (completion_tokens - 1) * 1e6 / static_cast<double>(total_us - first_token_us);
}

}  // namespace llmos
