#include "runtime/model/kv_type.hpp"

#include <string>

#include "runtime/base/checked.hpp"

namespace llmos {

std::string_view name_of(kv_type type) {
  return type == kv_type::f16 ? "f16" : "q8_0";
}

result<kv_type> kv_type_named(std::string_view name) {
  for (const kv_type type : {kv_type::f16, kv_type::q8_0}) {
    if (name == name_of(type)) return type;
  }
  return failure{ec::invalid_argument, "no type of KV memory is called '" + std::string(name) + "'",
                 "set engine.kv_type to f16 or q8_0"};
}

uint64_t kv_head_bytes(kv_type type, uint32_t head_dim) {
  if (type == kv_type::f16) return uint64_t{head_dim} * 2;
  return uint64_t{head_dim} + uint64_t{2} * ceil_div(head_dim, 32u);
}

}  // namespace llmos
