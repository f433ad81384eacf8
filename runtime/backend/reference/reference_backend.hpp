#pragma once

#include <memory>

#include "runtime/backend/backend.hpp"

namespace llmos {

/// The backend that other backends are measured against: weights decoded to float32 when it is
/// made (4 bytes per weight), K and V in float32 whatever the KV type (q8_0 rounds them to what it
/// can hold, f16 not), plain loops. Slow on purpose. Errors: out_of_memory.
result<std::unique_ptr<backend>> make_reference_backend(std::shared_ptr<const model> m,
                                                        const backend_limits& limits);

/// What make_reference_backend would take. Errors: the same.
result<backend_memory> memory_of_reference_backend(const model& m, const backend_limits& limits);

}  // namespace llmos
