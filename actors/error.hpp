#pragma once

#include <caf/error.hpp>

#include "actors/atoms.hpp"
#include "runtime/base/error.hpp"

namespace llmos {

/// The one conversion from `failure` to CAF's error and back. Code, text and hint survive; a
/// foreign error (a lost actor, a timeout) becomes `internal` or `cancelled` with its text.
caf::error to_error(const failure& x);
failure to_failure(const caf::error& x);

}  // namespace llmos
