// The first byte chooses an endpoint, the rest is a body: it is read, or refused with an error that
// a client can read, for memory in proportion to it.
#include <cstdint>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "runtime/base/check.hpp"
#include "runtime/openai/models.hpp"
#include "runtime/openai/request.hpp"
#include "runtime/sampling/weights.hpp"
#include "tests/support/allocation_meter.hpp"

using namespace llmos;
using namespace llmos::openai;

namespace {

/// A value takes some two hundred bytes while its text of two bytes is read and checked.
constexpr size_t bytes_per_byte = 400;
constexpr size_t bytes_in_any_case = 256u << 10;

void check_error(const api_error& e) {
  LLMOS_CHECK(e.status == 400);
  LLMOS_CHECK(e.type == "invalid_request_error");
  LLMOS_CHECK(!e.code.empty());
  LLMOS_CHECK(!e.message.empty() && e.message.size() < 2'000);
  LLMOS_CHECK(json::parse(render_error(e)).is_object());
}

void check_request(endpoint where, const completion_request& x) {
  LLMOS_CHECK(x.num_choices() >= 1 && x.num_choices() <= 128);
  for (const auto& p : x.prompts) {
    LLMOS_CHECK(p.messages.is_null() == (where == endpoint::completions));
    LLMOS_CHECK(x.tool_names.size() == p.tools.size());
    const auto valid = validate(p.sampling, max_sampling_vocab);
    LLMOS_CHECK(valid.ok() || valid.error().text.starts_with("token id in "));
  }
  LLMOS_CHECK(x.choice(x.num_choices() - 1).model == x.model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body{reinterpret_cast<const char*>(data) + 1, size - 1};
  const test::allocation_meter meter;
  if (data[0] % 4 < 2) {
    const auto where = data[0] % 4 == 0 ? endpoint::chat : endpoint::completions;
    const auto got = parse_completion_request(where, body, {});
    got.ok() ? check_request(where, *got) : check_error(got.error());
  } else if (data[0] % 4 == 2) {
    const auto got = parse_tokenize_request(body);
    if (!got.ok()) check_error(got.error());
  } else {
    const auto got = parse_detokenize_request(body);
    if (!got.ok()) check_error(got.error());
  }
  LLMOS_CHECK(meter.peak_bytes() <= bytes_in_any_case + size * bytes_per_byte);
  return 0;
}
