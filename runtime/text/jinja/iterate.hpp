#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// iter(x), or nullptr if x cannot be iterated.
std::shared_ptr<iterator> try_iterate(machine& m, const value& x);
/// iter(x). Throws if x cannot be iterated.
std::shared_ptr<iterator> iterate(machine& m, const value& x);
/// iter(reversed(x)), or nullptr if x has no reverse.
std::shared_ptr<iterator> try_iterate_reversed(machine& m, const value& x);

/// list(x)
std::vector<value> collect(machine& m, const value& x);
/// len(x), or nothing if x has none.
std::optional<size_t> length_of(machine& m, const value& x);

}  // namespace llmos::jinja
