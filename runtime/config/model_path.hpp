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

/// Whether the models folder can be read; one that is not there can. Errors: io_error.
result<void> check_models_folder(const node_config& config);

/// The GGUF files of the models folder, by name. A folder that cannot be read is an empty list.
std::vector<model_file> list_model_files(const node_config& config);

/// Refuses what is no name of the models folder: who asks from outside must not learn what other
/// files there are, nor have them read. Errors: not_found.
result<void> check_model_name(const std::string& name);

/// What a user means by a model's name: an existing path, else a file of the models folder with
/// or without ".gguf"; empty is the default model. Errors: not_found naming the known models,
/// io_error when the operating system does not let us look.
result<model_file> find_model_file(const node_config& config, const std::string& name);

}  // namespace llmos
