#include "runtime/gguf/inspect.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <variant>

#include "runtime/gguf/parse.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

constexpr uint64_t array_elements_shown = 8;
constexpr size_t text_value_bytes = 100;
constexpr size_t text_element_bytes = 24;
constexpr size_t json_string_bytes = 64 << 10;
constexpr size_t json_all_strings_bytes = 8 << 20;

/// What one storage type contributes to a file.
struct type_total {
  uint64_t tensors = 0;
  uint64_t weights = 0;
  uint64_t bytes = 0;

  void add(const type_total& x) {
    tensors += x.tensors;
    weights += x.weights;
    bytes += x.bytes;
  }
  double bits_per_weight() const {
    return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
  }
};

/// Totals by type, in GGUF order. Sums cannot overflow: the parser keeps tensors apart and inside
/// the file, and a byte holds fewer than four weights.
std::map<tensor_type, type_total> totals_of(const gguf_file& file) {
  std::map<tensor_type, type_total> out;
  for (const auto& x : file.tensors()) out[x.type].add({1, x.n_elements(), x.n_bytes});
  return out;
}

/// The shortest digits that give the stored value back: of float32 where it came from one.
std::string shortest(double x, bool is_f32) {
  char digits[32];
  const auto end = is_f32 ? std::to_chars(digits, std::end(digits), static_cast<float>(x))
                          : std::to_chars(digits, std::end(digits), x);
  return {digits, end.ptr};
}

std::string pad(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string pad_left(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string value_type_name(const gguf_entry& entry) {
  const auto* array = std::get_if<gguf_array>(&entry.value);
  if (array == nullptr) return to_string(entry.type);
  return std::string{to_string(array->element_type)} + "[" + std::to_string(array->count) + "]";
}

std::string value_text(const gguf_value& value, gguf_type type, size_t max_bytes);

std::string array_text(const gguf_array& array) {
  std::string out = "[";
  const uint64_t n = std::min(array.count, array_elements_shown);
  for (uint64_t i = 0; i < n; ++i) {
    if (i != 0) out += ", ";
    out += value_text(element_of(array, i), array.element_type, text_element_bytes);
  }
  return out + (n < array.count ? ", …]" : "]");
}

std::string value_text(const gguf_value& value, gguf_type type, size_t max_bytes) {
  auto render = [&](const auto& x) -> std::string {
    using value_type = std::decay_t<decltype(x)>;
    if constexpr (std::is_same_v<value_type, bool>) {
      return x ? "true" : "false";
    } else if constexpr (std::is_same_v<value_type, double>) {
      return shortest(x, type == gguf_type::f32);
    } else if constexpr (std::is_same_v<value_type, std::string_view>) {
      return std::string{'"'}.append(printable(x, max_bytes)).append("\"");
    } else if constexpr (std::is_same_v<value_type, gguf_array>) {
      return array_text(x);
    } else {
      return std::to_string(x);
    }
  };
  return std::visit(render, value);
}

std::string shape_text(const tensor_info& tensor) {
  std::string out;
  for (uint32_t i = 0; i < tensor.n_dims; ++i) {
    if (i != 0) out += " x ";
    out += std::to_string(tensor.dims[i]);
  }
  return out;
}

void append_metadata(std::string& out, const gguf_file& file) {
  size_t key_width = 0;
  size_t type_width = 0;
  for (const auto& x : file.entries()) {
    key_width = std::max(key_width, printable(x.key, text_value_bytes).size());
    type_width = std::max(type_width, value_type_name(x).size());
  }
  out += "\nmetadata\n";
  for (const auto& x : file.entries()) {
    out += "  " + pad(printable(x.key, text_value_bytes), key_width + 2);
    out += pad(value_type_name(x), type_width + 2);
    out += value_text(x.value, x.type, text_value_bytes) + "\n";
  }
}

void append_tensors(std::string& out, const gguf_file& file) {
  size_t name_width = 0;
  size_t shape_width = 0;
  for (const auto& x : file.tensors()) {
    name_width = std::max(name_width, printable(x.name, text_value_bytes).size());
    shape_width = std::max(shape_width, shape_text(x).size());
  }
  out += "\ntensors (contiguous dimension first)\n";
  for (const auto& x : file.tensors()) {
    out += "  " + pad(printable(x.name, text_value_bytes), name_width + 2);
    out += pad(std::string{info_of(x.type).name}, 8) + pad(shape_text(x), shape_width + 2);
    out += pad_left(std::to_string(x.n_bytes), 14) + " bytes\n";
  }
}

std::string total_line(std::string_view name, const type_total& x) {
  char numbers[128];
  std::snprintf(
      numbers, sizeof numbers, "%8llu tensors %16llu weights %16llu bytes %7.3f bits/weight\n",
      static_cast<unsigned long long>(x.tensors), static_cast<unsigned long long>(x.weights),
      static_cast<unsigned long long>(x.bytes), x.bits_per_weight());
  return "  " + pad(std::string{name}, 8) + numbers;
}

void append_totals(std::string& out, const gguf_file& file) {
  type_total all;
  out += "\ntotals\n";
  for (const auto& [type, total] : totals_of(file)) {
    out += total_line(info_of(type).name, total);
    all.add(total);
  }
  out += total_line("all", all);
}

/// Builds the JSON form; keeps count of the bytes that its strings may still take.
class json_form {
public:
  explicit json_form(const gguf_file& file) : file_{file} {}

  nlohmann::ordered_json build() {
    nlohmann::ordered_json out;
    out["path"] = text(file_.path());
    out["version"] = file_.version();
    out["file_bytes"] = file_.file_bytes();
    out["alignment"] = file_.alignment();
    out["metadata"] = metadata();
    out["tensors"] = tensors();
    out["totals"] = totals();
    return out;
  }

private:
  std::string text(std::string_view x) {
    const size_t limit = std::min(json_string_bytes, strings_left_);
    strings_left_ -= std::min(strings_left_, x.size());
    return valid_utf8(x, limit);
  }

  /// Of a value that is no array.
  nlohmann::ordered_json scalar(const gguf_value& value, gguf_type type) {
    if (const auto* x = std::get_if<std::string_view>(&value)) return text(*x);
    if (const auto* x = std::get_if<bool>(&value)) return *x;
    if (const auto* x = std::get_if<int64_t>(&value)) return *x;
    if (const auto* x = std::get_if<uint64_t>(&value)) return *x;
    // NaN and infinities have no JSON number: their names say more than null.
    const std::string digits = shortest(std::get<double>(value), type == gguf_type::f32);
    auto number = nlohmann::ordered_json::parse(digits, nullptr, false);
    return number.is_discarded() ? nlohmann::ordered_json(digits) : number;
  }

  nlohmann::ordered_json entry(const gguf_entry& x) {
    nlohmann::ordered_json out;
    out["type"] = to_string(x.type);
    const auto* array = std::get_if<gguf_array>(&x.value);
    if (array == nullptr) {
      out["value"] = scalar(x.value, x.type);
      return out;
    }
    out["element_type"] = to_string(array->element_type);
    out["count"] = array->count;
    auto& first = out["first"] = nlohmann::ordered_json::array();
    for (uint64_t i = 0; i < std::min(array->count, array_elements_shown); ++i) {
      first.push_back(scalar(element_of(*array, i), array->element_type));
    }
    return out;
  }

  nlohmann::ordered_json metadata() {
    auto out = nlohmann::ordered_json::object();
    // Escaped, not replaced: two keys must not become one.
    for (const auto& x : file_.entries()) out[printable(x.key, gguf_key_bytes_max)] = entry(x);
    return out;
  }

  nlohmann::ordered_json tensors() {
    auto out = nlohmann::ordered_json::array();
    for (const auto& x : file_.tensors()) {
      nlohmann::ordered_json row;
      row["name"] = valid_utf8(x.name, gguf_tensor_name_bytes_max);
      row["type"] = info_of(x.type).name;
      row["shape"] = std::vector<uint64_t>(x.dims, x.dims + x.n_dims);
      row["bytes"] = x.n_bytes;
      out.push_back(std::move(row));
    }
    return out;
  }

  nlohmann::ordered_json totals() {
    auto out = nlohmann::ordered_json::array();
    for (const auto& [type, total] : totals_of(file_)) {
      nlohmann::ordered_json row;
      row["type"] = info_of(type).name;
      row["tensors"] = total.tensors;
      row["weights"] = total.weights;
      row["bytes"] = total.bytes;
      row["bits_per_weight"] = total.bits_per_weight();
      out.push_back(std::move(row));
    }
    return out;
  }

  const gguf_file& file_;
  size_t strings_left_ = json_all_strings_bytes;
};

}  // namespace

std::string describe(const gguf_file& file) {
  std::string out = printable(file.path(), 4096) + ": GGUF v" + std::to_string(file.version()) +
                    ", " + std::to_string(file.file_bytes()) + " bytes, " +
                    std::to_string(file.entries().size()) + " metadata entries, " +
                    std::to_string(file.tensors().size()) + " tensors, alignment " +
                    std::to_string(file.alignment()) + "\n";
  append_metadata(out, file);
  if (file.tensors().empty()) return out;
  append_tensors(out, file);
  append_totals(out, file);
  return out;
}

nlohmann::ordered_json describe_json(const gguf_file& file) {
  return json_form{file}.build();
}

}  // namespace llmos
