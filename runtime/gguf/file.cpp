#include "runtime/gguf/file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/gguf/mapping.hpp"
#include "runtime/gguf/parse.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

/// A parsed file together with the mapping that its views point into, if it owns one.
class loaded_file final : public gguf_file {
public:
  loaded_file(mapping map, std::span<const std::byte> bytes, std::string path,
              gguf_contents contents)
      : map_{std::move(map)} {
    path_ = std::move(path);
    version_ = contents.version;
    file_bytes_ = bytes.size();
    alignment_ = contents.alignment;
    entries_ = std::move(contents.entries);
    tensors_ = std::move(contents.tensors);
    entry_order_ = std::move(contents.entry_order);
    tensor_order_ = std::move(contents.tensor_order);
  }

  void forget(std::span<const std::byte> bytes) const override { map_.forget(bytes); }

private:
  mapping map_;
};

/// The item called `name` among `items`, found through their order by name.
template <class Item, class Name>
const Item* find_by_name(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                         std::string_view name, Name name_of) {
  const auto found =
      std::lower_bound(order.begin(), order.end(), name,
                       [&](uint32_t i, std::string_view x) { return name_of(items[i]) < x; });
  if (found == order.end() || name_of(items[*found]) != name) return nullptr;
  return &items[*found];
}

/// `fallback` where the key is missing, every other outcome as it is.
template <class T>
result<T> or_else(result<T> found, T fallback) {
  if (!found.ok() && found.error().code == ec::not_found) return fallback;
  return found;
}

template <class Stored, class Widened>
gguf_value load_element(const gguf_array& array, uint64_t i) {
  Stored x;
  std::memcpy(&x, array.bytes.data() + i * sizeof x, sizeof x);
  return static_cast<Widened>(x);
}

}  // namespace

gguf_value element_of(const gguf_array& array, uint64_t i) {
  LLMOS_CHECK(i < array.count);
  switch (array.element_type) {
    case gguf_type::u8: return load_element<uint8_t, uint64_t>(array, i);
    case gguf_type::i8: return load_element<int8_t, int64_t>(array, i);
    case gguf_type::u16: return load_element<uint16_t, uint64_t>(array, i);
    case gguf_type::i16: return load_element<int16_t, int64_t>(array, i);
    case gguf_type::u32: return load_element<uint32_t, uint64_t>(array, i);
    case gguf_type::i32: return load_element<int32_t, int64_t>(array, i);
    case gguf_type::f32: return load_element<float, double>(array, i);
    case gguf_type::boolean: return array.bytes[i] == std::byte{1};
    case gguf_type::string: return array.strings[i];
    case gguf_type::array: break;  // refused by the parser
    case gguf_type::u64: return load_element<uint64_t, uint64_t>(array, i);
    case gguf_type::i64: return load_element<int64_t, int64_t>(array, i);
    case gguf_type::f64: return load_element<double, double>(array, i);
  }
  LLMOS_CHECK(false && "an array of no known type");
  return {};
}

result<std::shared_ptr<const gguf_file>> gguf_file::open(const std::string& path) {
  LLMOS_TRY(mapping map, mapping::open(path));
  const auto bytes = map.bytes();
  LLMOS_TRY(gguf_contents contents, parse_gguf(bytes, path));
  return std::shared_ptr<const gguf_file>{
      std::make_shared<loaded_file>(std::move(map), bytes, path, std::move(contents))};
}

result<std::shared_ptr<const gguf_file>> gguf_file::parse(std::span<const std::byte> bytes,
                                                          std::string name) {
  LLMOS_TRY(gguf_contents contents, parse_gguf(bytes, name));
  return std::shared_ptr<const gguf_file>{
      std::make_shared<loaded_file>(mapping{}, bytes, std::move(name), std::move(contents))};
}

const gguf_entry* gguf_file::find(std::string_view key) const {
  return find_by_name(entries_, entry_order_, key, [](const auto& x) { return x.key; });
}

const tensor_info* gguf_file::find_tensor(std::string_view name) const {
  return find_by_name(tensors_, tensor_order_, name, [](const auto& x) { return x.name; });
}

result<const gguf_entry*> gguf_file::require(std::string_view key) const {
  if (const auto* entry = find(key)) return entry;
  return failure{ec::not_found, path_ + ": has no key '" + printable(key, 80) + "'",
                 "get a complete copy of the file"};
}

failure gguf_file::type_failure(const gguf_entry& entry, std::string_view wanted) const {
  std::string type = to_string(entry.type);
  if (const auto* array = std::get_if<gguf_array>(&entry.value)) {
    type += std::string{" of "} + to_string(array->element_type);
  }
  return {ec::bad_file,
          path_ + ": key '" + printable(entry.key, 80) + "' has the type " + type + ", not " +
              std::string{wanted},
          "get another copy of the file"};
}

result<uint64_t> gguf_file::get_uint(std::string_view key) const {
  LLMOS_TRY(const gguf_entry* entry, require(key));
  if (const auto* x = std::get_if<uint64_t>(&entry->value)) return *x;
  const auto* x = std::get_if<int64_t>(&entry->value);
  if (x == nullptr) return type_failure(*entry, "an unsigned integer");
  if (*x >= 0) return static_cast<uint64_t>(*x);
  return failure{ec::bad_file,
                 path_ + ": key '" + printable(key, 80) + "' is negative: " + std::to_string(*x),
                 "get another copy of the file"};
}

result<double> gguf_file::get_float(std::string_view key) const {
  LLMOS_TRY(const gguf_entry* entry, require(key));
  if (const auto* x = std::get_if<double>(&entry->value)) return *x;
  return type_failure(*entry, "a float");
}

result<bool> gguf_file::get_bool(std::string_view key) const {
  LLMOS_TRY(const gguf_entry* entry, require(key));
  if (const auto* x = std::get_if<bool>(&entry->value)) return *x;
  return type_failure(*entry, "bool");
}

result<std::string_view> gguf_file::get_string(std::string_view key) const {
  LLMOS_TRY(const gguf_entry* entry, require(key));
  if (const auto* x = std::get_if<std::string_view>(&entry->value)) return *x;
  return type_failure(*entry, "string");
}

result<const gguf_array*> gguf_file::get_array(std::string_view key, gguf_type element_type) const {
  LLMOS_TRY(const gguf_entry* entry, require(key));
  const auto* array = std::get_if<gguf_array>(&entry->value);
  if (array != nullptr && array->element_type == element_type) return array;
  return type_failure(*entry, std::string{"array of "} + to_string(element_type));
}

result<uint64_t> gguf_file::get_uint_or(std::string_view key, uint64_t fallback) const {
  return or_else(get_uint(key), fallback);
}

result<double> gguf_file::get_float_or(std::string_view key, double fallback) const {
  return or_else(get_float(key), fallback);
}

result<bool> gguf_file::get_bool_or(std::string_view key, bool fallback) const {
  return or_else(get_bool(key), fallback);
}

result<std::string_view> gguf_file::get_string_or(std::string_view key,
                                                  std::string_view fallback) const {
  return or_else(get_string(key), fallback);
}

}  // namespace llmos
