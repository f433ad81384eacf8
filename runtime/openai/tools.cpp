#include "runtime/openai/tools.hpp"

#include <algorithm>
#include <array>

#include "runtime/base/result.hpp"
#include "runtime/openai/fields.hpp"

namespace llmos::openai {

namespace {

constexpr size_t max_tools = 128;
constexpr size_t max_name_bytes = 64;

/// OpenAI's rule: letters, digits, _ and -, as templates may print names as they are.
checked check_name(const std::string& name, const std::string& path) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  if (!name.empty() && name.size() <= max_name_bytes &&
      std::all_of(name.begin(), name.end(), is_allowed)) {
    return fine;
  }
  return invalid(path, path + ": allowed: 1 to 64 of a-z, A-Z, 0-9, _ and -");
}

checked check_function(const json& f, const std::string& path) {
  static constexpr std::array<std::string_view, 4> known = {"name", "description", "parameters",
                                                            "strict"};
  LLMOS_TRY_VOID(check_object(f, path));
  LLMOS_TRY_VOID(check_names(f, known, path));
  LLMOS_TRY(const auto name, required_text(f, "name", path));
  LLMOS_TRY_VOID(check_name(name, path + ".name"));
  if (const json* x = find_given(f, "description")) {
    LLMOS_TRY([[maybe_unused]] const auto text, read_text(*x, path + ".description"));
  }
  if (const json* x = find_given(f, "parameters")) {
    LLMOS_TRY_VOID(check_object(*x, path + ".parameters"));
  }
  if (const json* x = find_given(f, "strict"); x != nullptr && *x != false) {
    return unsupported(path + ".strict", path +
                                             ".strict: answers cannot be held to a schema yet; "
                                             "leave it out or send false");
  }
  return fine;
}

outcome<json> read_tool(const json& x, const std::string& path) {
  static constexpr std::array<std::string_view, 2> known = {"type", "function"};
  LLMOS_TRY_VOID(check_object(x, path));
  LLMOS_TRY(const auto type, required_text(x, "type", path));
  if (type != "function") {
    return unsupported(path + ".type", path + ".type: '" + type.substr(0, 40) +
                                           "' is not supported; allowed: function");
  }
  LLMOS_TRY_VOID(check_names(x, known, path));
  const json* function = find_given(x, "function");
  if (function == nullptr) return invalid(path + ".function", path + ".function is missing");
  LLMOS_TRY_VOID(check_function(*function, path + ".function"));
  json kept = json::object();
  for (const char* name : {"name", "description", "parameters"}) {
    if (const json* field = find_given(*function, name)) kept[name] = *field;
  }
  return json{{"type", "function"}, {"function", std::move(kept)}};
}

}  // namespace

outcome<json> read_tools(const json& value) {
  if (!value.is_array()) return wrong_type("tools", "a list", value);
  if (value.size() > max_tools) {
    return invalid("tools", "tools: " + std::to_string(value.size()) +
                                " entries; allowed: at most " + std::to_string(max_tools));
  }
  json out = json::array();
  for (size_t i = 0; i < value.size(); ++i) {
    LLMOS_TRY(out.emplace_back(), read_tool(value[i], at("tools", i)));
  }
  auto names = names_of_tools(out);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return invalid("tools", "tools: two functions are named " + *twice);
  return out.empty() ? json{} : out;
}

std::vector<std::string> names_of_tools(const json& tools) {
  std::vector<std::string> out;
  for (const auto& x : tools) out.push_back(x.at("function").at("name").get<std::string>());
  return out;
}

namespace {

outcome<tool_choice> choice_of_word(const std::string& word) {
  using kind = tool_choice::kind;
  if (word == "none") return tool_choice{kind::none, ""};
  if (word == "auto") return tool_choice{kind::automatic, ""};
  if (word == "required") return tool_choice{kind::required, ""};
  return invalid("tool_choice", "tool_choice: '" + word.substr(0, 40) +
                                    "'; allowed: none, auto, required, or a named function");
}

outcome<tool_choice> named_choice(const json& value) {
  static constexpr std::array<std::string_view, 2> known = {"type", "function"};
  static constexpr std::array<std::string_view, 1> known_inside = {"name"};
  LLMOS_TRY_VOID(check_object(value, "tool_choice"));
  LLMOS_TRY(const auto type, required_text(value, "type", "tool_choice"));
  if (type != "function") {
    return unsupported("tool_choice.type", "tool_choice.type: allowed: function");
  }
  LLMOS_TRY_VOID(check_names(value, known, "tool_choice"));
  const json* function = find_given(value, "function");
  if (function == nullptr) {
    return invalid("tool_choice.function", "tool_choice.function is missing");
  }
  LLMOS_TRY_VOID(check_object(*function, "tool_choice.function"));
  LLMOS_TRY_VOID(check_names(*function, known_inside, "tool_choice.function"));
  LLMOS_TRY(auto name, required_text(*function, "name", "tool_choice.function"));
  return tool_choice{tool_choice::kind::function, std::move(name)};
}

}  // namespace

outcome<tool_choice> read_tool_choice(const json& value, const json& tools) {
  using kind = tool_choice::kind;
  LLMOS_TRY(auto out,
            value.is_string() ? choice_of_word(value.get<std::string>()) : named_choice(value));
  if (tools.is_null() && (out.what == kind::required || out.what == kind::function)) {
    return invalid("tool_choice", "tool_choice asks for a call, but there are no tools");
  }
  const auto names = names_of_tools(tools);
  if (out.what == kind::function &&
      std::find(names.begin(), names.end(), out.function) == names.end()) {
    return invalid("tool_choice", "tool_choice: no tool is named " + out.function.substr(0, 64));
  }
  return out;
}

}  // namespace llmos::openai
