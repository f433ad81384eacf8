// The first byte chooses a conversation, the rest is a chat template: it renders within its limits
// or says where it goes wrong, the same each time, for little memory and in valid UTF-8.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/text/chat_template.hpp"
#include "tests/support/allocation_meter.hpp"

using namespace llmos;
using json = nlohmann::ordered_json;

namespace {

/// Small, so that a template which takes more than it is charged for shows.
constexpr template_limits limits{256u << 10, 100'000, 128, 4u << 20};
constexpr template_limits stricter{16u << 10, 5'000, 64, 256u << 10};
/// Of a template of a few kilobytes: its program, its values and their copies in passing.
constexpr size_t max_peak_bytes = 16u << 20;
/// Errors are cut at 4 KiB; the place comes in front.
constexpr size_t max_error_bytes = 4'200;

/// Each: what a template gets as `messages`, `tools` and further variables. The corpus counts on
/// their order.
constexpr const char* conversations = R"json([
{"messages": [{"role": "user", "content": "What is a monad?"}]},
{"messages": [{"role": "system", "content": "Be terse.\n"}, {"role": "user", "content": " 3?"},
  {"role": "assistant", "content": "7\t"}, {"role": "user", "content": "<b>'one' & \"odd\"</b>"}]},
{"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": null,
  "tool_calls": [{"id": "call00001", "type": "function",
      "function": {"name": "add", "arguments": {"a": 2, "b": 0.5}}},
    {"id": "call00002", "function": {"name": "add", "arguments": "{\"a\": 2}"}}]},
  {"role": "tool", "tool_call_id": "call00001", "name": "add", "content": "4"}],
 "tools": [{"type": "function", "function": {"name": "add", "description": "<a> \"and\" 'b'",
    "parameters": {"type": "object", "required": ["a"], "properties": {
      "a": {"type": ["number", "null"], "default": 1, "maximum": 18446744073709551615},
      "b": {"type": "array", "items": {"enum": ["x", "y"]}}}}, "return": {"type": "string"}}},
  {"name": "stop", "parameters": {}}]},
{"messages": [{"role": "user", "content": [{"type": "text", "text": "Köln ÀΣ 日本 😀 é"},
    {"type": "image"}]}, {"role": "assistant", "content": "<think>\n7 * 13\n</think>\n\nNo.",
  "reasoning_content": "7 * 13 = 91"}], "tools": [], "enable_thinking": false},
{"messages": []},
{"messages": [{"role": "assistant", "content": "First!"}, {"role": "system", "content": "Late."},
  {"role": "wizard", "content": ""}, {"role": "user"}, {"content": "no role"}, {"role": null}, {}]},
{"messages": null, "tools": null},
{"messages": [1, null, "text", [], {"role": {"role": ["user"]}}, true, -0.0, 1e308],
 "tools": {"a": "b"}},
{"messages": "not a list", "tools": "neither", "documents": [{"title": "t", "text": "x"}]},
{"messages": [], "t": true, "f": false, "n": null, "i": 7, "neg": -3, "zero": 0, "x": 2.5,
 "big": 18446744073709551615, "s": "Hello World", "empty": "", "l": [3, 1, 2],
 "lines": "one\ntwo\r\nthree\u2028four\n\nfive", "html": "<a href=\"x\">'&'</a>",
 "uni": "Straße İß ΟΔΟΣ ǆ 日本 😀 e\u0301"},
{"messages": [], "words": ["banana", "Apple", "cherry", "apple"], "nested": [[1, "a"], [2, "b"]],
 "d": {"b": 1, "a": 2, "items": "shadow", "C": 3, "_p": 4},
 "users": [{"name": "Zoë", "age": 31, "tags": ["x", "y"], "pet": {"kind": "cat"}},
  {"name": "adam", "age": 9, "tags": [], "pet": {"kind": "Dog"}}],
 "json": {"k": [1, 2.0, 1e22, -0.0, true, null, "é\n\"\\\u007f\u2028", {"": {}}, []]}},
{"messages": [{"role": "user", "content": "long"}],
 "l": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
 "d": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5, "g": 6, "h": 7, "i": 8, "j": 9, "k": 10,
  "l": 11, "m": 12, "n": 13, "o": 14, "p": 15, "q": 16, "r": 17},
 "s": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}
])json";

/// A conversation as the runtime holds it, in JSON that is not all UTF-8.
struct conversation {
  json messages, tools, extra;
  bool has_tools = false;

  explicit conversation(json variables) : extra(std::move(variables)) {
    messages = extra["messages"];
    extra.erase("messages");
    has_tools = extra.contains("tools");
    if (has_tools) tools = extra["tools"];
    extra.erase("tools");
    extra["broken"] = "a\xff\xe2\x82z\xed\xa0\x80";
  }

  template_input input(bool with_prompt) const {
    template_input out;
    out.messages = &messages;
    out.tools = has_tools ? &tools : nullptr;
    out.bos_token = "<s>";
    out.eos_token = "</s\xc3>";
    out.add_generation_prompt = with_prompt;
    out.extra = &extra;
    out.now = std::chrono::sys_seconds{std::chrono::seconds{1'753'000'000}};
    return out;
  }
};

const conversation& pick(uint8_t choice) {
  static const auto all = [] {
    const json list = json::parse(conversations);
    return std::vector<conversation>(list.begin(), list.end());
  }();
  return all[choice % all.size()];
}

void check_error(const failure& e, std::string_view source) {
  LLMOS_CHECK(!first_invalid_utf8(e.text));
  LLMOS_CHECK(!e.hint.empty());
  LLMOS_CHECK(e.text.size() <= max_error_bytes);
  const bool is_own = source.find("raise_exception") != std::string_view::npos;
  LLMOS_CHECK(is_own || e.text.starts_with("chat template line "));
}

/// The output, or nothing where a limit ended it; an error counts as its text.
std::optional<std::string> render(const chat_template& t, const template_input& input,
                                  const template_limits& allowed) {
  const auto got = t.render(input, allowed);
  if (got.ok()) {
    LLMOS_CHECK(got->size() <= allowed.max_output_bytes);
    LLMOS_CHECK(!first_invalid_utf8(*got));
    return *got;
  }
  check_error(got.error(), t.source());
  if (got.error().code == ec::over_limit) return std::nullopt;
  return got.error().text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const conversation& with = pick(data[0]);
  const std::string source(reinterpret_cast<const char*>(data) + 1, size - 1);
  const test::allocation_meter meter;
  const auto parsed = chat_template::parse(source);
  if (!parsed.ok()) {
    if (!first_invalid_utf8(source)) check_error(parsed.error(), {});
    return 0;
  }
  LLMOS_CHECK(parsed->source() == source);
  const template_input input = with.input(size % 2 == 0);
  const auto first = render(*parsed, input, limits);
  LLMOS_CHECK(render(*parsed, input, limits) == first);
  const auto cut = render(*parsed, input, stricter);
  LLMOS_CHECK(!cut || cut == first);
  LLMOS_CHECK(meter.peak_bytes() <= max_peak_bytes);
  return 0;
}
