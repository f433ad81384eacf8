#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

enum class comparison : uint8_t { eq, ne, lt, le, gt, ge, in, not_in };

/// bool(x).
bool is_truthy(const value& x);

/// Python's ==. Counts the work on `m` if there is one.
bool equal(const value& a, const value& b, machine* m = nullptr);

/// hash(x): equal values hash alike, 1 and 1.0 and True too. Throws for what Python cannot hash.
/// Counts the work on `m` if there is one: tuples may share their items, and then no depth ends it.
size_t hash_of(const value& x, machine* m);

/// a op b for all operators. Throws where Python raises a TypeError.
bool compare(machine& m, comparison op, const value& a, const value& b);

}  // namespace llmos::jinja
