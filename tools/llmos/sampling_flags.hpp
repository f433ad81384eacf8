#pragma once

#include <CLI/App.hpp>
#include <map>
#include <string>
#include <vector>

#include "runtime/sampling/params.hpp"

namespace llmos {

/// What was given on a command line about sampling: key ("top_p") → values as typed.
using sampling_flags = std::map<std::string, std::vector<std::string>>;

/// Adds an option for every sampling key: --top-p for sampling.top_p and so on. `flags` must live
/// as long as the app.
void add_sampling_flags(CLI::App& app, sampling_flags& flags);

/// Applies what was given over `params`. Errors: invalid_argument naming the option, the value and
/// what is allowed.
result<void> apply(const sampling_flags& flags, sampling_params& params);

}  // namespace llmos
