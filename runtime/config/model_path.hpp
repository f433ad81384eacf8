#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"

namespace llmos {

/// A model file found on disk.
struct model_file {
  std::string name;  ///< File name without ".gguf".
  std::string path;  ///< Canonical path: two names of one file have one path.
  uint64_t bytes = 0;
};

/// The GGUF files of the models folder, by name. A missing folder is an empty list.
std::vector<model_file> list_model_files(const node_config& config);

/// What a user means by a model's name: an existing path, else a file of the models folder with
/// or without ".gguf"; empty is the default model. Errors: not_found naming the known models.
result<model_file> find_model_file(const node_config& config, const std::string& name);

}  // namespace llmos
