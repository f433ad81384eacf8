#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/error.hpp"

namespace llmos::jinja {

/// What stops a template. Thrown only inside this folder, where a value passes through dozens of
/// small functions; chat_template catches it at its two doors and returns a `failure`.
struct fault {
  ec code = ec::internal;
  std::string text;
  uint32_t line = 0;      ///< 1-based; 0: filled in at the door from the statement that ran.
  uint32_t column = 0;    ///< 1-based, in bytes; 0: unknown.
  bool verbatim = false;  ///< The template's own message (raise_exception): no place in front.
};

/// The template or its data does something Python would refuse: invalid_argument.
[[noreturn]] void fail(std::string text);
/// Valid Jinja that this build does not know: unsupported.
[[noreturn]] void fail_unsupported(std::string text);
/// A limit of `template_limits` is reached: over_limit.
[[noreturn]] void fail_limit(std::string text);

}  // namespace llmos::jinja
