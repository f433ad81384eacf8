#pragma once

#include <cstdint>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

enum class arithmetic : uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

/// a op b with Python's rules; integers beyond 64 bits are unsupported.
value calculate(machine& m, arithmetic op, const value& a, const value& b);
/// -x, and +x which only checks that x is a number.
value negate(const value& x);
value affirm(const value& x);

}  // namespace llmos::jinja
