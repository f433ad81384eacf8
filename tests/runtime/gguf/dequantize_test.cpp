#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/gguf/file.hpp"

using namespace llmos;

namespace {

std::vector<float> decoded(const tensor_info& tensor) {
  std::vector<float> out(tensor.n_elements());
  dequantize(tensor.type, tensor.data, out);
  return out;
}

}  // namespace

TEST_SUITE("runtime.gguf.dequantize") {
  TEST_CASE("every type decodes to the very bits of an independent implementation") {
    const auto file = gguf_file::open("tests/golden/dequant.gguf").value();
    for (const auto& info : all_tensor_types()) {
      CAPTURE(info.name);
      const auto* blocks = file->find_tensor(info.name);
      const auto* golden = file->find_tensor(std::string{info.name} + ".f32");
      REQUIRE(blocks != nullptr);
      REQUIRE(golden != nullptr);
      REQUIRE(blocks->type == info.type);
      REQUIRE(blocks->n_elements() == 1024);
      const auto got = decoded(*blocks);
      const auto want = decoded(*golden);
      REQUIRE(got.size() == want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        REQUIRE(std::memcmp(&got[i], &want[i], sizeof(float)) == 0);
      }
    }
  }

  TEST_CASE("blocks may begin at any address") {
    const auto file = gguf_file::open("tests/golden/dequant.gguf").value();
    for (const auto& info : all_tensor_types()) {
      CAPTURE(info.name);
      const auto* blocks = file->find_tensor(info.name);
      REQUIRE(blocks != nullptr);
      std::vector<std::byte> shifted(blocks->n_bytes + 1);
      std::copy_n(blocks->data, blocks->n_bytes, shifted.begin() + 1);
      std::vector<float> got(1024);
      dequantize(info.type, shifted.data() + 1, got);
      CHECK(std::memcmp(got.data(), decoded(*blocks).data(), 1024 * sizeof(float)) == 0);
    }
  }
}
