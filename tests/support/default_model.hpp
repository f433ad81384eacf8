#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/model/model.hpp"

namespace llmos::test {

/// Where the default model lies: $LLMOS_TEST_MODEL, else its usual name under $LLMOS_MODELS or
/// ~/.local/share/llmos/models. Nothing when it is not there or LLMOS_TEST_MODEL is "none": the
/// case then counts as skipped.
std::optional<std::string> default_model_path();

/// The default model, opened once per program; nullptr when it is not there.
/// Ends the program when the file is there and does not load.
std::shared_ptr<const model> default_model();

}  // namespace llmos::test
