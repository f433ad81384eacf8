#pragma once

#include <cstdint>
#include <string>

namespace llmos::test {

/// Writes a complete model of a few kilobytes: architecture llama, 2 layers of width 32, random
/// float32 weights, a byte-level vocabulary (token i + 3 is byte i; 0 = <|endoftext|>,
/// 1 = <|im_start|>, 2 = <|im_end|>) and a ChatML template. Context 4096.
void write_tiny_model(const std::string& path, uint64_t seed = 1);

}  // namespace llmos::test
