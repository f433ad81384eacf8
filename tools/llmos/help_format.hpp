#pragma once

#include <CLI/App.hpp>
#include <CLI/Formatter.hpp>
#include <string>

namespace llmos {

/// How --help looks: names and values only, sentences wrapped to 100 columns.
class help_format : public CLI::Formatter {
public:
  help_format();

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

/// `text` in lines of at most `width` bytes, broken at blanks.
std::string wrap(const std::string& text, size_t width);

}  // namespace llmos
