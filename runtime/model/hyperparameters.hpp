#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/gguf/file.hpp"
#include "runtime/model/model.hpp"

namespace llmos {

/// What the metadata of a model file says, before any tensor is looked at.
struct model_metadata {
  hyperparameters hp;
  /// Frequency divisors of YaRN, [rope_dim / 2]; empty when the file does not ask for it.
  std::vector<float> rope_factors;
};

/// Reads and checks `{arch}.*`. `n_vocab` is left 0: the embedding's shape decides it.
/// Errors: unsupported (architecture or feature, by name), bad_file (key and value).
result<model_metadata> read_metadata(const gguf_file& file);

}  // namespace llmos
