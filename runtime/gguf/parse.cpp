#include "runtime/gguf/parse.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "runtime/base/checked.hpp"
#include "runtime/gguf/byte_reader.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

static_assert(std::endian::native == std::endian::little, "fields are copied as they lie");

constexpr const char* another_copy = "get another copy of the file";
constexpr const char* over_limit = "no known model comes near this limit; get another copy";
constexpr uint64_t alignment_min = 8;
constexpr uint64_t alignment_max = 2u << 20;  // a huge page
// The least bytes one item takes in a file: a count is compared with the bytes left through them.
constexpr uint64_t entry_bytes_min = 8 + 1 + 4 + 1;           // key, type, value
constexpr uint64_t tensor_bytes_min = 8 + 1 + 4 + 8 + 4 + 8;  // name, n_dims, dims, type, offset
constexpr uint64_t string_bytes_min = 8;

struct type_row {
  const char* name;
  size_t scalar_bytes;
};
constexpr type_row value_types[] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};
static_assert(std::size(value_types) == static_cast<size_t>(gguf_type::f64) + 1);

/// What the first bytes of a file that is no GGUF file say about it.
struct foreign_magic {
  std::string_view bytes;
  const char* what;
  const char* hint;
};
constexpr const char* convert = "convert the model to GGUF";
constexpr foreign_magic foreign_magics[] = {
    {"lmgg", "a pre-GGUF model file (ggml)", convert},
    {"fmgg", "a pre-GGUF model file (ggmf)", convert},
    {"tjgg", "a pre-GGUF model file (ggjt)", convert},
    {"algg", "a pre-GGUF adapter file (ggla)", convert},
    {"FUGG", "a GGUF file of big-endian byte order", "convert the model to little-endian GGUF"},
    {"PK\x03\x04", "a zip archive (a PyTorch model?)", convert},
    {"version https://git-lfs", "a Git LFS pointer, not the file itself", "run 'git lfs pull'"},
    {"<!DOCTYPE", "a web page, not a model", "check the address it was fetched from"},
    {"<html", "a web page, not a model", "check the address it was fetched from"},
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string quoted(std::string_view name) {
  return "'" + printable(name, 80) + "'";
}

/// Indices of `items` in ascending order of their names.
template <class Item, class Name>
std::vector<uint32_t> order_by_name(const std::vector<Item>& items, Name name) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return name(items[a]) < name(items[b]); });
  return order;
}

/// The first name that occurs twice.
template <class Item, class Name>
std::optional<std::string_view> find_duplicate(const std::vector<Item>& items,
                                               const std::vector<uint32_t>& order, Name name) {
  const auto found = std::adjacent_find(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return name(items[a]) == name(items[b]);
  });
  if (found == order.end()) return std::nullopt;
  return name(items[*found]);
}

std::string_view key_of(const gguf_entry& x) {
  return x.key;
}
std::string_view name_of(const tensor_info& x) {
  return x.name;
}

/// Reads one file from front to back. Each method consumes its part of the bytes.
class parser {
public:
  parser(std::span<const std::byte> bytes, const std::string& path)
      : bytes_{bytes}, in_{bytes}, path_{path} {}

  result<gguf_contents> run() {
    LLMOS_TRY_VOID(read_header());
    LLMOS_TRY_VOID(read_entries());
    LLMOS_TRY_VOID(refuse_split());
    LLMOS_TRY_VOID(read_alignment());
    LLMOS_TRY_VOID(read_tensor_table());
    LLMOS_TRY_VOID(place_tensors());
    LLMOS_TRY_VOID(refuse_overlaps());
    return std::move(out_);
  }

private:
  failure bad(const std::string& text) const {
    return {ec::bad_file, path_ + ": " + text, another_copy};
  }
  failure unsupported(const std::string& text, const std::string& hint) const {
    return {ec::unsupported, path_ + ": " + text, hint};
  }
  failure cut_off(const std::string& where) const {
    return bad("the file ends in " + where + " at byte " + std::to_string(in_.position()) + " of " +
               std::to_string(bytes_.size()));
  }

  result<void> read_header() {
    LLMOS_TRY_VOID(read_magic());
    const auto version = in_.read<uint32_t>();
    if (!version) return cut_off("the version");
    LLMOS_TRY_VOID(check_version(*version));
    out_.version = *version;
    const auto n_tensors = in_.read<uint64_t>();
    const auto n_entries = n_tensors ? in_.read<uint64_t>() : std::nullopt;
    if (!n_entries) return cut_off("the header");
    n_tensors_ = *n_tensors;
    n_entries_ = *n_entries;
    LLMOS_TRY_VOID(check_count("metadata entries", n_entries_, entry_bytes_min, gguf_entries_max));
    return check_count("tensors", n_tensors_, tensor_bytes_min, gguf_tensors_max);
  }

  result<void> read_magic() {
    for (const auto& foreign : foreign_magics) {
      if (as_text(bytes_).substr(0, foreign.bytes.size()) == foreign.bytes) {
        return unsupported("is " + std::string{foreign.what}, foreign.hint);
      }
    }
    const auto magic = in_.take(4);
    if (!magic) return cut_off("the magic");
    if (as_text(*magic) == "GGUF") return {};
    return bad("is no GGUF file: it begins with '" + printable(as_text(*magic), 4) + "'");
  }

  result<void> check_version(uint32_t version) const {
    if (version == 2 || version == 3) return {};
    if (version == 1) return unsupported("is GGUF version 1", "convert the model again");
    if (const uint32_t swapped = __builtin_bswap32(version); swapped >= 1 && swapped <= 3) {
      return unsupported("is a GGUF file of big-endian byte order",
                         "convert the model to little-endian GGUF");
    }
    return unsupported("is GGUF version " + std::to_string(version),
                       "this build reads versions 2 and 3");
  }

  /// A count from outside must fit the bytes that are left and the limit of llmos.
  result<void> check_count(const std::string& what, uint64_t count, uint64_t bytes_each,
                           uint64_t limit) const {
    if (count > in_.remaining() / bytes_each) {
      return bad("claims " + std::to_string(count) + " " + what + ", but only " +
                 std::to_string(in_.remaining()) + " bytes follow");
    }
    if (count > limit) {
      return unsupported("has " + std::to_string(count) + " " + what + ", more than the " +
                             std::to_string(limit) + " that this build reads",
                         over_limit);
    }
    return {};
  }

  result<void> read_entries() {
    out_.entries.reserve(n_entries_);
    for (uint64_t i = 0; i < n_entries_; ++i) {
      LLMOS_TRY(gguf_entry entry, read_entry(i));
      out_.entries.push_back(std::move(entry));
    }
    out_.entry_order = order_by_name(out_.entries, key_of);
    if (const auto key = find_duplicate(out_.entries, out_.entry_order, key_of)) {
      return bad("key " + quoted(*key) + " occurs twice");
    }
    return {};
  }

  result<gguf_entry> read_entry(uint64_t i) {
    const auto key = in_.read_string();
    const auto label = "the key of metadata entry " + std::to_string(i);
    if (!key) return cut_off(label);
    if (key->empty()) return bad(label + " is empty");
    if (key->size() > gguf_key_bytes_max) {
      return bad(label + " has " + std::to_string(key->size()) + " bytes: " + quoted(*key));
    }
    const auto what = "key " + quoted(*key);
    LLMOS_TRY(const gguf_type type, read_value_type(what));
    LLMOS_TRY(gguf_value value, read_value(what, type));
    return gguf_entry{*key, type, std::move(value)};
  }

  result<gguf_type> read_value_type(const std::string& what) {
    const auto raw = in_.read<uint32_t>();
    if (!raw) return cut_off("the type of " + what);
    if (*raw >= std::size(value_types)) {
      return bad(what + " has the unknown value type " + std::to_string(*raw));
    }
    return static_cast<gguf_type>(*raw);
  }

  result<gguf_value> read_value(const std::string& what, gguf_type type) {
    switch (type) {
      case gguf_type::u8: return read_scalar<uint8_t, uint64_t>(what);
      case gguf_type::i8: return read_scalar<int8_t, int64_t>(what);
      case gguf_type::u16: return read_scalar<uint16_t, uint64_t>(what);
      case gguf_type::i16: return read_scalar<int16_t, int64_t>(what);
      case gguf_type::u32: return read_scalar<uint32_t, uint64_t>(what);
      case gguf_type::i32: return read_scalar<int32_t, int64_t>(what);
      case gguf_type::f32: return read_scalar<float, double>(what);
      case gguf_type::boolean: return read_bool(what);
      case gguf_type::string: return read_text(what);
      case gguf_type::array: return read_array(what);
      case gguf_type::u64: return read_scalar<uint64_t, uint64_t>(what);
      case gguf_type::i64: return read_scalar<int64_t, int64_t>(what);
      case gguf_type::f64: return read_scalar<double, double>(what);
    }
    return bad(what + " has an unknown value type");
  }

  template <class Stored, class Widened>
  result<gguf_value> read_scalar(const std::string& what) {
    const auto x = in_.read<Stored>();
    if (!x) return cut_off("the value of " + what);
    return gguf_value{static_cast<Widened>(*x)};
  }

  result<gguf_value> read_bool(const std::string& what) {
    const auto x = in_.read<uint8_t>();
    if (!x) return cut_off("the value of " + what);
    if (*x > 1) return bad(what + " is a bool of value " + std::to_string(*x));
    return gguf_value{*x == 1};
  }

  result<gguf_value> read_text(const std::string& what) {
    const auto text = in_.read_string();
    if (!text) return cut_off("the value of " + what);
    return gguf_value{*text};
  }

  result<gguf_value> read_array(const std::string& what) {
    gguf_array array;
    LLMOS_TRY(array.element_type, read_value_type("the elements of " + what));
    const auto count = in_.read<uint64_t>();
    if (!count) return cut_off("the count of " + what);
    array.count = *count;
    if (array.element_type == gguf_type::array) {
      return unsupported(what + " is an array of arrays", "remove the key with a GGUF editor");
    }
    LLMOS_TRY_VOID(array.element_type == gguf_type::string ? read_strings(what, array)
                                                           : read_scalars(what, array));
    return gguf_value{std::move(array)};
  }

  result<void> read_scalars(const std::string& what, gguf_array& array) {
    const auto n_bytes = checked_mul<uint64_t>(array.count, gguf_scalar_bytes(array.element_type));
    const auto bytes = n_bytes ? in_.take(*n_bytes) : std::nullopt;
    if (!bytes) return array_too_long(what, array);
    array.bytes = *bytes;
    const bool is_bool = array.element_type == gguf_type::boolean;
    if (is_bool &&
        std::any_of(bytes->begin(), bytes->end(), [](auto x) { return x > std::byte{1}; })) {
      return bad(what + " has a bool that is neither 0 nor 1");
    }
    return {};
  }

  result<void> read_strings(const std::string& what, gguf_array& array) {
    if (array.count > in_.remaining() / string_bytes_min) return array_too_long(what, array);
    if (array.count > gguf_array_strings_max - n_array_strings_) {
      return unsupported(what + " brings the strings in arrays above the " +
                             std::to_string(gguf_array_strings_max) + " that this build reads",
                         over_limit);
    }
    n_array_strings_ += array.count;
    array.strings.reserve(array.count);
    for (uint64_t i = 0; i < array.count; ++i) {
      const auto text = in_.read_string();
      if (!text) return cut_off("string " + std::to_string(i) + " of " + what);
      array.strings.push_back(*text);
    }
    return {};
  }

  failure array_too_long(const std::string& what, const gguf_array& array) const {
    return bad(what + " claims " + std::to_string(array.count) + " elements of type " +
               to_string(array.element_type) + ", but only " + std::to_string(in_.remaining()) +
               " bytes follow");
  }

  /// The entry of `key` as an unsigned integer, or `fallback` without one.
  result<uint64_t> entry_or(std::string_view key, uint64_t fallback) const {
    for (const auto& entry : out_.entries) {
      if (entry.key != key) continue;
      if (const auto* x = std::get_if<uint64_t>(&entry.value)) return *x;
      if (const auto* x = std::get_if<int64_t>(&entry.value); x && *x >= 0) {
        return static_cast<uint64_t>(*x);
      }
      return bad("key " + quoted(key) + " is no unsigned integer");
    }
    return fallback;
  }

  result<void> refuse_split() const {
    LLMOS_TRY(const uint64_t n, entry_or("split.count", 1));
    if (n <= 1) return {};
    return unsupported("is one of " + std::to_string(n) + " parts (key 'split.count')",
                       "merge the parts into one file first");
  }

  result<void> read_alignment() {
    LLMOS_TRY(out_.alignment, entry_or("general.alignment", 32));
    const uint64_t x = out_.alignment;
    if (std::has_single_bit(x) && x >= alignment_min && x <= alignment_max) return {};
    return bad("key 'general.alignment' is " + std::to_string(x) + ", not a power of two from " +
               std::to_string(alignment_min) + " to " + std::to_string(alignment_max));
  }

  result<void> read_tensor_table() {
    out_.tensors.reserve(n_tensors_);
    offsets_.reserve(n_tensors_);
    for (uint64_t i = 0; i < n_tensors_; ++i) {
      LLMOS_TRY(const tensor_info tensor, read_tensor(i));
      out_.tensors.push_back(tensor);
    }
    out_.tensor_order = order_by_name(out_.tensors, name_of);
    if (const auto name = find_duplicate(out_.tensors, out_.tensor_order, name_of)) {
      return bad("tensor " + quoted(*name) + " occurs twice");
    }
    return {};
  }

  result<tensor_info> read_tensor(uint64_t i) {
    tensor_info out;
    const auto name = in_.read_string();
    const auto label = "the name of tensor " + std::to_string(i);
    if (!name) return cut_off(label);
    if (name->empty()) return bad(label + " is empty");
    if (name->size() > gguf_tensor_name_bytes_max) {
      return bad(label + " has " + std::to_string(name->size()) + " bytes: " + quoted(*name));
    }
    out.name = *name;
    LLMOS_TRY_VOID(read_shape(out));
    LLMOS_TRY_VOID(read_type(out));
    const auto offset = in_.read<uint64_t>();
    if (!offset) return cut_off("the offset of tensor " + quoted(*name));
    offsets_.push_back(*offset);
    return out;
  }

  result<void> read_shape(tensor_info& tensor) {
    const auto what = "tensor " + quoted(tensor.name);
    const auto n_dims = in_.read<uint32_t>();
    if (!n_dims) return cut_off("the shape of " + what);
    if (*n_dims < 1 || *n_dims > std::size(tensor.dims)) {
      return bad(what + " has " + std::to_string(*n_dims) + " dimensions, not 1 to 4");
    }
    tensor.n_dims = *n_dims;
    std::optional<uint64_t> n_elements = 1;
    for (uint32_t i = 0; i < *n_dims; ++i) {
      const auto size = in_.read<uint64_t>();
      if (!size) return cut_off("the shape of " + what);
      if (*size == 0) return bad("dimension " + std::to_string(i) + " of " + what + " is zero");
      tensor.dims[i] = *size;
      if (n_elements) n_elements = checked_mul(*n_elements, *size);
    }
    // Half of the range, so that counts of elements may also be signed.
    if (!n_elements || *n_elements > std::numeric_limits<int64_t>::max()) {
      return bad(what + " has more elements than 64 bits can count");
    }
    return {};
  }

  result<void> read_type(tensor_info& tensor) {
    const auto what = "tensor " + quoted(tensor.name);
    const auto raw = in_.read<uint32_t>();
    if (!raw) return cut_off("the type of " + what);
    const auto type = tensor_type_from_raw(*raw);
    if (!type) {
      return unsupported(what + " has the type " + raw_type_name(*raw),
                         "use a file with tensor types that 'llmos inspect' lists");
    }
    tensor.type = *type;
    const type_info& info = info_of(*type);
    if (tensor.dims[0] % info.block_elems != 0) {
      return bad(what + " has rows of " + std::to_string(tensor.dims[0]) +
                 " elements, not a multiple of the " + std::to_string(info.block_elems) + " in a " +
                 std::string{info.name} + " block");
    }
    const auto n_bytes =
        checked_mul<uint64_t>(tensor.n_elements() / info.block_elems, info.block_bytes);
    if (!n_bytes) return bad(what + " has more bytes than 64 bits can count");
    tensor.n_bytes = *n_bytes;
    return {};
  }

  /// Offsets count from the first aligned byte after the table.
  result<void> place_tensors() {
    const uint64_t start = *checked_round_up<uint64_t>(in_.position(), out_.alignment);
    const uint64_t data_bytes = start < bytes_.size() ? bytes_.size() - start : 0;
    for (size_t i = 0; i < out_.tensors.size(); ++i) {
      tensor_info& tensor = out_.tensors[i];
      const uint64_t offset = offsets_[i];
      const auto what = "tensor " + quoted(tensor.name);
      if (offset % out_.alignment != 0) {
        return bad(what + " has the offset " + std::to_string(offset) +
                   ", not a multiple of the alignment " + std::to_string(out_.alignment));
      }
      if (offset > data_bytes || tensor.n_bytes > data_bytes - offset) {
        return bad(what + " of " + std::to_string(tensor.n_bytes) + " bytes at offset " +
                   std::to_string(offset) + " ends past the " + std::to_string(data_bytes) +
                   " bytes of tensor data");
      }
      tensor.data = bytes_.data() + start + offset;
    }
    return {};
  }

  result<void> refuse_overlaps() const {
    std::vector<uint32_t> order(out_.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return offsets_[a] < offsets_[b]; });
    for (size_t i = 1; i < order.size(); ++i) {
      const tensor_info& first = out_.tensors[order[i - 1]];
      const tensor_info& second = out_.tensors[order[i]];
      if (first.data + first.n_bytes > second.data) {
        return bad("tensors " + quoted(first.name) + " and " + quoted(second.name) + " overlap");
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  byte_reader in_;
  const std::string& path_;
  gguf_contents out_;
  uint64_t n_tensors_ = 0;
  uint64_t n_entries_ = 0;
  uint64_t n_array_strings_ = 0;
  std::vector<uint64_t> offsets_;  ///< [n_tensors] from the start of the tensor data.
};

}  // namespace

result<gguf_contents> parse_gguf(std::span<const std::byte> bytes, const std::string& path) {
  return parser{bytes, path}.run();
}

const char* to_string(gguf_type type) {
  return value_types[static_cast<size_t>(type)].name;
}

size_t gguf_scalar_bytes(gguf_type type) {
  return value_types[static_cast<size_t>(type)].scalar_bytes;
}

}  // namespace llmos
