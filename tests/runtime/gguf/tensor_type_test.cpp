#include "runtime/gguf/tensor_type.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace llmos;

TEST_SUITE("runtime.gguf.tensor_type") {
  TEST_CASE("the table lists each type once, in the order of its number, with its layout") {
    CHECK(all_tensor_types().size() == 15);
    int64_t previous = -1;
    for (const auto& info : all_tensor_types()) {
      CAPTURE(info.name);
      const auto raw = static_cast<uint32_t>(info.type);
      CHECK(static_cast<int64_t>(raw) > previous);
      previous = raw;
      CHECK(&info_of(info.type) == &info);
      CHECK(tensor_type_from_raw(raw) == info.type);
      CHECK(raw_type_name(raw) == info.name);
    }
  }

  TEST_CASE("bytes of a block are those of the format") {
    struct row {
      const char* name;
      uint32_t elems;
      uint32_t bytes;
    };
    const row table[] = {
        {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},       {"Q4_0", 32, 18},
        {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},     {"Q8_0", 32, 34},
        {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},   {"Q5_K", 256, 176},
        {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      bool found = false;
      for (const auto& info : all_tensor_types()) {
        if (info.name != r.name) continue;
        found = true;
        CHECK(info.block_elems == r.elems);
        CHECK(info.block_bytes == r.bytes);
      }
      CHECK(found);
    }
  }

  TEST_CASE("types that are not read have a name for error texts") {
    CHECK_FALSE(tensor_type_from_raw(16));
    CHECK(raw_type_name(16) == "IQ2_XXS");
    CHECK(raw_type_name(39) == "MXFP4");
    CHECK(raw_type_name(77) == "type 77");
  }
}
