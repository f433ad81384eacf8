// The first byte chooses a style, the second how the rest is cut: the outputs together are the
// same, calls have names and arguments that are JSON, and text without calls is as it was.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "runtime/base/check.hpp"
#include "runtime/openai/tool_calls.hpp"

using namespace llmos::openai;

namespace {

tool_output parse(tool_style style, std::string_view text, size_t piece) {
  tool_call_parser parser{{style, {"f", "g"}, 1}};
  tool_output all;
  const auto take = [&](tool_output x) {
    all.text += x.text;
    for (auto& call : x.calls) all.calls.push_back(std::move(call));
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.push(text.substr(i, piece)));
  take(parser.finish());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto style = static_cast<tool_style>(data[0] % 4);
  const std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};
  const auto whole = parse(style, text, std::max<size_t>(text.size(), 1));
  const auto cut = parse(style, text, 1 + data[1] % 16);
  LLMOS_CHECK(cut.text == whole.text);
  LLMOS_CHECK(cut.calls == whole.calls);
  LLMOS_CHECK(!whole.calls.empty() || whole.text == text);
  for (const auto& call : whole.calls) {
    LLMOS_CHECK(!call.name.empty() && !call.id.empty());
    LLMOS_CHECK(nlohmann::json::parse(call.arguments).is_object());
  }
  return 0;
}
