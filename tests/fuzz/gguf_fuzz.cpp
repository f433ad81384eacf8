// Any bytes are a clean error or a file whose every part can be used, for little memory.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "runtime/base/check.hpp"
#include "runtime/gguf/file.hpp"
#include "runtime/gguf/inspect.hpp"
#include "tests/support/allocation_meter.hpp"

namespace {

/// The tables of a file take a small multiple of its bytes: 14 bytes are an entry of about 100.
constexpr size_t table_bytes_per_byte = 16;
constexpr size_t error_text_bytes = 16 << 10;

void use(const llmos::gguf_file& file) {
  LLMOS_CHECK(!llmos::describe(file).empty());
  LLMOS_CHECK(!llmos::describe_json(file).dump().empty());
  for (const auto& entry : file.entries()) LLMOS_CHECK(file.find(entry.key) == &entry);
  for (const auto& tensor : file.tensors()) {
    LLMOS_CHECK(file.find_tensor(tensor.name) == &tensor);
    std::vector<float> weights(tensor.n_elements());
    llmos::dequantize(tensor.type, tensor.data, weights);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const llmos::test::allocation_meter meter;
  const auto file = llmos::gguf_file::parse(std::as_bytes(std::span{data, size}), "fuzz.gguf");
  LLMOS_CHECK(meter.peak_bytes() <= size * table_bytes_per_byte + error_text_bytes);
  if (file.ok()) {
    use(**file);
  } else {
    LLMOS_CHECK(file.error().text.rfind("fuzz.gguf: ", 0) == 0);
    LLMOS_CHECK(!file.error().hint.empty());
  }
  return 0;
}
