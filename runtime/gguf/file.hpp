#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/gguf/tensor_type.hpp"

namespace llmos {

/// Value types of GGUF metadata; values are GGUF's own numbers.
enum class gguf_type : uint32_t {
  u8 = 0,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

/// An array of metadata, still in the mapped file; decoded on access.
struct gguf_array {
  gguf_type element_type = gguf_type::u8;
  uint64_t count = 0;
  std::span<const std::byte> bytes;       ///< Raw elements (scalars).
  std::vector<std::string_view> strings;  ///< [count] when element_type is string.
};

/// One metadata value. Integers are widened, float32 becomes double; strings point into the file.
using gguf_value = std::variant<uint64_t, int64_t, double, bool, std::string_view, gguf_array>;

/// Element `i` of a metadata array, widened as a value of its own is. REQUIRES: i < array.count.
gguf_value element_of(const gguf_array& array, uint64_t i);

struct gguf_entry {
  std::string_view key;
  gguf_type type = gguf_type::u8;
  gguf_value value;
};

/// One tensor's place in the file. `dims[0]` is the contiguous (input) dimension.
struct tensor_info {
  std::string_view name;
  tensor_type type = tensor_type::f32;
  uint32_t n_dims = 0;
  uint64_t dims[4] = {1, 1, 1, 1};
  const std::byte* data = nullptr;  ///< Into the mapping.
  uint64_t n_bytes = 0;

  uint64_t n_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }  // checked at parse
  uint64_t n_rows() const { return dims[1] * dims[2] * dims[3]; }
};

/// A read-only GGUF v2/v3 file. Owns the mapping; every view above lives as long as it does.
/// All sizes are checked against the bytes that are really there before anything is allocated;
/// memory beyond the mapping stays below 64 MiB (the limits in parse.hpp see to it).
class gguf_file {
public:
  /// Maps and parses a file. Errors: not_found, io_error, bad_file, unsupported; the text names
  /// the path and the key, tensor or offset.
  static result<std::shared_ptr<const gguf_file>> open(const std::string& path);

  /// Parses bytes in memory, which must outlive the result. `name` stands in for the path.
  static result<std::shared_ptr<const gguf_file>> parse(std::span<const std::byte> bytes,
                                                        std::string name);

  virtual ~gguf_file() = default;

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t alignment() const { return alignment_; }
  std::span<const gguf_entry> entries() const { return entries_; }
  std::span<const tensor_info> tensors() const { return tensors_; }

  /// The entry or tensor with that name, or nullptr.
  const gguf_entry* find(std::string_view key) const;
  const tensor_info* find_tensor(std::string_view name) const;

  /// Typed access. A missing key is not_found, another type or a value that does not fit is
  /// bad_file; both name the key. Any integer type is accepted where it fits.
  result<uint64_t> get_uint(std::string_view key) const;
  result<double> get_float(std::string_view key) const;
  result<bool> get_bool(std::string_view key) const;
  result<std::string_view> get_string(std::string_view key) const;
  result<const gguf_array*> get_array(std::string_view key, gguf_type element_type) const;

  /// The same with a default for a missing key; another type is still an error.
  result<uint64_t> get_uint_or(std::string_view key, uint64_t fallback) const;
  result<double> get_float_or(std::string_view key, double fallback) const;
  result<bool> get_bool_or(std::string_view key, bool fallback) const;
  result<std::string_view> get_string_or(std::string_view key, std::string_view fallback) const;

  /// Gives back the memory that holds `bytes` of this file: they are read again when they are
  /// touched. Bytes parsed from memory stay where they are.
  virtual void forget(std::span<const std::byte> bytes) const = 0;

protected:
  gguf_file() = default;

  std::string path_;
  uint32_t version_ = 0;
  uint64_t file_bytes_ = 0;
  uint64_t alignment_ = 32;
  std::vector<gguf_entry> entries_;
  std::vector<tensor_info> tensors_;
  std::vector<uint32_t> entry_order_;   ///< Indices of `entries_` by ascending key.
  std::vector<uint32_t> tensor_order_;  ///< Indices of `tensors_` by ascending name.

private:
  /// The entry of `key`, or a not_found failure that names it.
  result<const gguf_entry*> require(std::string_view key) const;
  failure type_failure(const gguf_entry& entry, std::string_view wanted) const;
};

}  // namespace llmos
