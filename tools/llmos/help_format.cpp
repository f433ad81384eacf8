#include "tools/llmos/help_format.hpp"

#include <sstream>

namespace llmos {

namespace {

constexpr size_t name_width = 30;
constexpr size_t line_width = 100;

}  // namespace

help_format::help_format() {
  column_width(name_width);
  label("OPTIONS", "options");
  label("SUBCOMMAND", "command");
  label("Subcommands", "Commands");
  label("Positionals", "Arguments");
}

std::string help_format::make_help(const CLI::App* app, std::string name,
                                   CLI::AppFormatMode mode) const {
  std::string text = Formatter::make_help(app, std::move(name), mode);
  for (size_t at; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);
  return text;
}

std::string help_format::make_option_opts(const CLI::Option* option) const {
  const auto type = option->get_type_name();  // "N:INT in [1 - 5]" when a check hangs on it
  return option->get_expected_max() == 0 || type.empty() ? ""
                                                         : " " + type.substr(0, type.find(':'));
}

std::string help_format::make_option_desc(const CLI::Option* option) const {
  std::string text = option->get_description();
  auto value = option->get_default_str();
  if (value.starts_with('[')) value = value.substr(1, value.size() - 2);  // of a list
  if (!value.empty()) text += " (default " + value + ")";
  if (option->get_required() && option->nonpositional()) text += " (needed)";
  return wrap(text, line_width - name_width);
}

std::string wrap(const std::string& text, size_t width) {
  std::istringstream words{text};
  std::string out, word;
  size_t column = 0;
  while (words >> word) {
    const bool fits = column + 1 + word.size() <= width;
    if (column != 0) out += fits ? ' ' : '\n';
    column = column == 0 || !fits ? word.size() : column + 1 + word.size();
    out += word;
  }
  return out;
}

}  // namespace llmos
