#include "runtime/gguf/tensor_type.hpp"

#include <algorithm>
#include <iterator>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

// Bytes of a block are written as the sum of its fields, in file order.
constexpr type_info types[] = {
    {tensor_type::f32, "F32", 1, 4},
    {tensor_type::f16, "F16", 1, 2},
    {tensor_type::q4_0, "Q4_0", 32, 2 + 16},
    {tensor_type::q4_1, "Q4_1", 32, 2 + 2 + 16},
    {tensor_type::q5_0, "Q5_0", 32, 2 + 4 + 16},
    {tensor_type::q5_1, "Q5_1", 32, 2 + 2 + 4 + 16},
    {tensor_type::q8_0, "Q8_0", 32, 2 + 32},
    {tensor_type::q2_k, "Q2_K", 256, 16 + 64 + 2 + 2},
    {tensor_type::q3_k, "Q3_K", 256, 32 + 64 + 12 + 2},
    {tensor_type::q4_k, "Q4_K", 256, 2 + 2 + 12 + 128},
    {tensor_type::q5_k, "Q5_K", 256, 2 + 2 + 12 + 32 + 128},
    {tensor_type::q6_k, "Q6_K", 256, 128 + 64 + 16 + 2},
    {tensor_type::iq4_nl, "IQ4_NL", 32, 2 + 16},
    {tensor_type::iq4_xs, "IQ4_XS", 256, 2 + 2 + 4 + 128},
    {tensor_type::bf16, "BF16", 1, 2},
};

struct raw_name {
  uint32_t raw;
  std::string_view name;
};

// Types that exist in GGUF files but that llmos does not read; for error texts only.
constexpr raw_name other_types[] = {
    {4, "Q4_2"},    {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},       {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"},    {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},
    {24, "I8"},     {25, "I16"},        {26, "I32"},        {27, "I64"},        {28, "F64"},
    {29, "IQ1_M"},  {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
    {35, "TQ2_0"},  {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {39, "MXFP4"},
};

}  // namespace

std::span<const type_info> all_tensor_types() {
  return types;
}

const type_info& info_of(tensor_type type) {
  const auto* found =
      std::find_if(std::begin(types), std::end(types), [&](auto& x) { return x.type == type; });
  LLMOS_CHECK(found != std::end(types));
  return *found;
}

std::optional<tensor_type> tensor_type_from_raw(uint32_t raw) {
  for (const auto& x : types) {
    if (static_cast<uint32_t>(x.type) == raw) return x.type;
  }
  return std::nullopt;
}

std::string raw_type_name(uint32_t raw) {
  if (const auto type = tensor_type_from_raw(raw)) return std::string{info_of(*type).name};
  for (const auto& x : other_types) {
    if (x.raw == raw) return std::string{x.name};
  }
  return "type " + std::to_string(raw);
}

}  // namespace llmos
