// Writes the first inputs of gguf_fuzz: small honest files that between them use every value type,
// every tensor type and every key that the reader itself looks at.
#include <cstdio>
#include <filesystem>
#include <string>

#include "tests/support/gguf_writer.hpp"

using namespace llmos;
using namespace llmos::test;

namespace {

gguf_writer scalars() {
  return gguf_writer{}
      .add_kv("a.u8", uint8_t{1})
      .add_kv("a.i8", int8_t{-1})
      .add_kv("a.u16", uint16_t{2})
      .add_kv("a.i16", int16_t{-2})
      .add_kv("a.u32", 3u)
      .add_kv("a.i32", -3)
      .add_kv("a.f32", 0.5f)
      .add_kv("a.bool", true)
      .add_kv("a.u64", uint64_t{4})
      .add_kv("a.i64", int64_t{-4})
      .add_kv("a.f64", 0.25);
}

gguf_writer vocabulary() {
  return gguf_writer{}
      .version(2)
      .add_kv("general.architecture", "llama")
      .add_kv("split.count", uint16_t{1})
      .add_kv("tokenizer.ggml.tokens", std::vector<std::string>{"a", "\xc3\xa9", "", "\xff"})
      .add_kv("tokenizer.ggml.scores", std::vector<float>{0, -1, -2, -3})
      .add_kv("flags", std::vector<bool>{true, false});
}

gguf_writer tensors_of(const type_info& info) {
  gguf_writer out;
  out.alignment(8);
  const uint64_t n = info.block_elems;
  out.add_tensor("v", info.type, {n}, random_blocks(info.type, n, 1, 1));
  out.add_tensor("w", info.type, {n, 1, 2, 1}, random_blocks(info.type, 2 * n, 1, 1));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: gguf_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder{argv[1]};
  std::filesystem::create_directories(folder);
  scalars().write(folder / "scalars.gguf");
  vocabulary().write(folder / "vocabulary.gguf");
  for (const auto& info : all_tensor_types()) {
    tensors_of(info).write(folder / (std::string{info.name} + ".gguf"));
  }
  return 0;
}
