#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/gguf/file.hpp"

namespace llmos {

/// What a file holds, for a person: metadata with long values elided, the tensor table, and totals
/// per storage type. Lines end in '\n'; nothing in the file can send a terminal control characters.
std::string describe(const gguf_file& file);

/// The same for a program. Valid JSON whatever bytes the file holds: path, version, file_bytes,
/// alignment, metadata {key: {type, value}}, tensors [{name, type, shape, bytes}] with the
/// contiguous dimension first, and totals [{type, tensors, weights, bytes, bits_per_weight}].
/// An array is {type, element_type, count, first: [up to 8 elements]}; strings are whole up to
/// 64 KiB each and 8 MiB together, and cut with "…" beyond.
nlohmann::ordered_json describe_json(const gguf_file& file);

}  // namespace llmos
