#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/model/model.hpp"
#include "runtime/schedule/batch_scheduler.hpp"
#include "runtime/schedule/memory_room.hpp"
#include "runtime/text/chat_template.hpp"
#include "runtime/text/tokenizer.hpp"

namespace llmos {

/// A model file made ready to serve: weights found, vocabulary and chat template read. Shared by
/// the rooms of its engine and kept over their restarts.
struct loaded_model {
  std::string name;
  std::shared_ptr<const model> weights;
  std::shared_ptr<const tokenizer> vocabulary;
  std::shared_ptr<const chat_template> chat;  ///< nullptr: the file carries none.
};
using loaded_model_ptr = std::shared_ptr<const loaded_model>;

/// Opens, checks and understands a GGUF file. Errors: those of gguf_file::open, load_model,
/// make_tokenizer and chat_template::parse, each naming the file.
result<loaded_model_ptr> load_model_file(const std::string& name, const std::string& path);

/// Sizes of one engine, fixed before anything is allocated.
struct engine_plan {
  std::string backend;
  backend_limits device;
  scheduler_limits schedule;
  backend_memory memory;
  bool on_device = false;  ///< The memory is a device's own, not the host's.
  /// Seconds in which the device reads the weights once; 0: not measured, as there is no other.
  double pass_seconds = 0;
  std::string note;  ///< What became smaller than it would be with more memory; usually empty.
};

/// Sizes an engine for a model by the configuration and the memory there is, that of the host or
/// the backend's own without what is promised of it. Errors:
/// invalid_argument (a key cannot be honoured), out_of_memory with the counts; those of
/// memory_of_backend.
result<engine_plan> plan_engine(const model& m, const node_config& config,
                                const memory_room& of_host, const device_promises& promised = {});

/// What an engine with that memory takes of the host.
uint64_t of_host_memory(bool on_device, const backend_memory& x);

/// Plans an engine on each of the backends that `config.engine.backend` lists, for one model. What
/// those before take of the host is not planned again. Errors: those of plan_engine.
result<std::vector<engine_plan>> plan_engines(const model& m, const node_config& config,
                                              const memory_room& of_host,
                                              const device_promises& promised = {});

/// Makes the device side of an engine; tests put their own in.
using backend_factory =
    std::function<result<std::unique_ptr<backend>>(const loaded_model&, const engine_plan&)>;

}  // namespace llmos
