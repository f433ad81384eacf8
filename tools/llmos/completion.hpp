#pragma once

#include <string>

#include <CLI/App.hpp>

#include "runtime/base/result.hpp"

namespace llmos {

/// A completion script for a program's subcommands and options. `shell`: bash, zsh or fish.
/// Options whose value is a FILE complete paths. Errors: invalid_argument for another shell.
result<std::string> completion_script(const CLI::App& app, const std::string& shell);

}  // namespace llmos
