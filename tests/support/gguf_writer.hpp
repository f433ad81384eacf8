#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/gguf/file.hpp"

namespace llmos::test {

/// Collects the little-endian bytes of a file.
class byte_sink {
public:
  template <class T>
  requires std::is_arithmetic_v<T> byte_sink& put(T x) {
    return put_bytes(std::as_bytes(std::span{&x, 1}));
  }
  byte_sink& put_bytes(std::span<const std::byte> bytes);
  byte_sink& put_text(std::string_view text);    ///< Its bytes only.
  byte_sink& put_string(std::string_view text);  ///< u64 length, then its bytes.
  byte_sink& pad_to(uint64_t alignment);

  const std::vector<std::byte>& bytes() const { return bytes_; }

private:
  std::vector<std::byte> bytes_;
};

/// What a row of the tensor table says instead of the truth.
struct tensor_lie {
  std::optional<uint64_t> name_bytes = {};  ///< The declared length of the name.
  std::optional<uint32_t> n_dims = {};
  std::optional<std::vector<uint64_t>> dims =
      {};  ///< As many as are written, whatever n_dims says.
  std::optional<uint32_t> type = {};
  std::optional<uint64_t> offset = {};
};

/// Builds GGUF files in memory, honest ones and liars. Entries and tensors keep their order; each
/// tensor's data begins at the alignment and nothing follows the last one.
class gguf_writer {
public:
  gguf_writer& version(uint32_t x);
  gguf_writer& magic(std::string_view x);
  /// Aligns tensor data to `x` and says so in general.alignment. Call it once.
  gguf_writer& alignment(uint32_t x);

  /// One entry whose GGUF type follows from the C++ type: `2u` is u32, `1e-5f` is f32.
  template <class T>
  requires std::is_arithmetic_v<T> gguf_writer& add_kv(std::string_view key, T value) {
    return add_kv_payload(key, type_of<T>(), byte_sink{}.put(value).bytes());
  }
  gguf_writer& add_kv(std::string_view key, std::string_view value);
  gguf_writer& add_kv(std::string_view key, const char* value) {
    return add_kv(key, std::string_view{value});
  }
  template <class T>
  requires std::is_arithmetic_v<T> gguf_writer& add_kv(std::string_view key,
                                                       const std::vector<T>& values) {
    byte_sink payload = array_head(type_of<T>(), values.size());
    for (const T x : values) payload.put(x);
    return add_kv_payload(key, gguf_type::array, payload.bytes());
  }
  gguf_writer& add_kv(std::string_view key, const std::vector<std::string>& values);

  /// One entry of any bytes: `payload` is what follows the type.
  gguf_writer& add_kv_payload(std::string_view key, gguf_type type,
                              std::span<const std::byte> payload);
  /// One entry written as it is: key, type and value.
  gguf_writer& add_raw_kv(std::span<const std::byte> bytes);

  /// One tensor. `dims[0]` is contiguous. `data` is written as it is, whatever its size.
  gguf_writer& add_tensor(std::string_view name, tensor_type type,
                          const std::vector<uint64_t>& dims, std::span<const std::byte> data,
                          const tensor_lie& lie = {});
  /// A float32 tensor.
  gguf_writer& add_tensor(std::string_view name, const std::vector<uint64_t>& dims,
                          std::span<const float> values);

  /// Counts for the header that are not those of what was added.
  gguf_writer& lie_kv_count(uint64_t n);
  gguf_writer& lie_tensor_count(uint64_t n);

  /// The whole file.
  std::vector<std::byte> bytes() const;
  /// Writes the whole file; a failure is a bug of the test.
  void write(const std::string& path) const;

  template <class T>
  static constexpr gguf_type type_of() {
    if constexpr (std::is_same_v<T, bool>) return gguf_type::boolean;
    if constexpr (std::is_floating_point_v<T>) {
      return sizeof(T) == 4 ? gguf_type::f32 : gguf_type::f64;
    } else {
      constexpr gguf_type of_signed[] = {gguf_type::i8, gguf_type::i16, gguf_type::i32,
                                         gguf_type::i64};
      constexpr gguf_type of_unsigned[] = {gguf_type::u8, gguf_type::u16, gguf_type::u32,
                                           gguf_type::u64};
      constexpr size_t i = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
      return std::is_signed_v<T> ? of_signed[i] : of_unsigned[i];
    }
  }

  /// The head of an array value: element type and count.
  static byte_sink array_head(gguf_type element_type, uint64_t count);

private:
  std::string magic_ = "GGUF";
  uint32_t version_ = 3;
  uint32_t alignment_ = 32;
  uint64_t n_entries_ = 0;
  uint64_t n_tensors_ = 0;
  std::optional<uint64_t> claimed_entries_;
  std::optional<uint64_t> claimed_tensors_;
  byte_sink entries_;
  byte_sink table_;
  byte_sink data_;
};

/// Random weights of `type` as their blocks, [n_elems]: every value of every packed field occurs,
/// float16 scales are finite and vary by block, and the decoded weights have mean 0 and standard
/// deviation `scale`, both within a few percent. The same numbers for the same seed, everywhere.
/// REQUIRES: n_elems is a multiple of the type's block_elems; 1e-3 <= scale <= 1e3.
std::vector<std::byte> random_blocks(tensor_type type, uint64_t n_elems, uint64_t seed,
                                     float scale);

}  // namespace llmos::test
