#include "runtime/text/chat_template.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/utf8.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/interpreter.hpp"
#include "runtime/text/jinja/json.hpp"
#include "runtime/text/jinja/machine.hpp"
#include "runtime/text/jinja/parser.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos {

namespace {

/// Enough for any that was written; one that a template computes can be as long as its output.
constexpr size_t max_error_bytes = 4096;

std::string place(const jinja::fault& f) {
  if (f.line == 0) return "chat template";
  const std::string line = "chat template line " + std::to_string(f.line);
  return f.column == 0 ? line : line + " column " + std::to_string(f.column);
}

const char* hint_for(ec code) {
  switch (code) {
    case ec::bad_file: return "use another template or a newer copy of the model";
    case ec::unsupported: return "use another template";
    case ec::over_limit: return "shorten the conversation or use another template";
    default: return "change the messages to what the template expects";
  }
}

failure to_failure(const jinja::fault& f) {
  const std::string text = jinja::shortened(f.text, max_error_bytes);
  return {f.code, f.verbatim ? text : place(f) + ": " + text, hint_for(f.code)};
}

jinja::interpreter::variables to_variables(const template_input& input) {
  const auto from = [](const nlohmann::ordered_json* x) {
    return x != nullptr ? jinja::from_json(*x) : jinja::value(jinja::none_type{});
  };
  const auto word = [](std::string_view s) { return jinja::constant_text(jinja::repair_utf8(s)); };
  jinja::interpreter::variables out;
  out["messages"] = from(input.messages);
  // Hugging Face passes these two always: templates ask `is none` of them, or nothing.
  out["tools"] = from(input.tools);
  out["documents"] = jinja::none_type{};
  out["bos_token"] = word(input.bos_token);
  out["eos_token"] = word(input.eos_token);
  out["add_generation_prompt"] = jinja::value(input.add_generation_prompt);
  if (input.extra == nullptr) return out;
  if (!input.extra->is_object()) jinja::fail("the further variables are no JSON object");
  for (const auto& [name, x] : input.extra->items()) out[name] = jinja::from_json(x);
  return out;
}

std::string run(const jinja::program& program, const template_input& input, jinja::machine& m) {
  const jinja::interpreter::variables variables = to_variables(input);
  return jinja::interpreter(m, program, variables).run();
}

}  // namespace

result<chat_template> chat_template::parse(std::string source) {
  if (source.size() > max_source_bytes) {
    return failure{
        ec::over_limit,
        "chat template: it is longer than " + std::to_string(max_source_bytes) + " bytes",
        hint_for(ec::over_limit)};
  }
  if (first_invalid_utf8(source)) {
    return failure{ec::bad_file, "chat template: it is not UTF-8", hint_for(ec::bad_file)};
  }
  try {
    chat_template out;
    out.program_ = jinja::parse_program(std::move(source));
    return out;
  } catch (const jinja::fault& f) {
    return to_failure(f);
  }
}

result<std::string> chat_template::render(const template_input& input,
                                          const template_limits& limits) const {
  jinja::machine m(limits, input.now);
  try {
    return run(*program_, input, m);
  } catch (jinja::fault& f) {
    if (f.line == 0) f.line = m.line;
    return to_failure(f);
  }
}

const std::string& chat_template::source() const {
  return program_->source;
}

}  // namespace llmos
