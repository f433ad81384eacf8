#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/gguf/file.hpp"

namespace llmos {

/// Most bytes of a tensor's name; the format's own limit.
inline constexpr uint64_t gguf_tensor_name_bytes_max = 64;
/// Most bytes of a key; the format's own limit.
inline constexpr uint64_t gguf_key_bytes_max = 65535;
/// Limits of llmos, far above any real file: with them the tables of a hostile file stay small.
inline constexpr uint64_t gguf_entries_max = 8192;
inline constexpr uint64_t gguf_tensors_max = 32768;
inline constexpr uint64_t gguf_array_strings_max = 2'000'000;  ///< All string arrays together.
static_assert(gguf_entries_max * (sizeof(gguf_entry) + sizeof(uint32_t)) +
                      gguf_tensors_max * (sizeof(tensor_info) + sizeof(uint32_t)) +
                      gguf_array_strings_max * sizeof(std::string_view) <
                  (48u << 20),
              "the promise of gguf_file (64 MiB), with room for error texts and reports");

/// What a GGUF file says, with views into its bytes.
struct gguf_contents {
  uint32_t version = 0;
  uint64_t alignment = 32;
  std::vector<gguf_entry> entries;
  std::vector<tensor_info> tensors;
  std::vector<uint32_t> entry_order;   ///< Indices of `entries` by ascending key.
  std::vector<uint32_t> tensor_order;  ///< Indices of `tensors` by ascending name.
};

/// Reads and validates the header, metadata and tensor table of a GGUF v2/v3 file.
/// Errors: bad_file, unsupported; the text begins with `path` and names the key or tensor.
result<gguf_contents> parse_gguf(std::span<const std::byte> bytes, const std::string& path);

/// "u32", "string", … for error texts and reports.
const char* to_string(gguf_type type);

/// Bytes of one scalar of `type`; 0 for string and array.
size_t gguf_scalar_bytes(gguf_type type);

}  // namespace llmos
