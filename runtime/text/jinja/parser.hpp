#pragma once

#include <memory>
#include <string>

#include "runtime/text/jinja/ast.hpp"

namespace llmos::jinja {

/// Parses a template and resolves its names. Throws bad_file with line and column, unsupported
/// naming the tag, filter or test, over_limit when it nests too deeply.
std::shared_ptr<const program> parse_program(std::string source);

/// Gives every variable its slot and every scope its entries, by Jinja's rules. Throws unsupported
/// for unknown filters and tests that stand outside of conditions.
void resolve_names(program& p);

}  // namespace llmos::jinja
