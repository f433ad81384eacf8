#pragma once

#include <caf/meta/type_name.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/kv/kv_manager.hpp"
#include "runtime/metrics/event_log.hpp"
#include "runtime/metrics/metrics_registry.hpp"
#include "runtime/schedule/batch_scheduler.hpp"
#include "runtime/schedule/engine_plan.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/schedule/sequence.hpp"
#include "runtime/schedule/step_gap.hpp"

// Values that rooms exchange. Inside one process they travel as they are (bulk as shared_ptr to
// const); none of them crosses a process: that is what wire types are for.
namespace llmos {

using token_vector = std::vector<token_id>;

/// A prompt as token ids.
using encoded_ptr = std::shared_ptr<const token_vector>;
using token_batch = std::vector<token_event>;
using token_batch_ptr = std::shared_ptr<const token_batch>;
using step_result_ptr = std::shared_ptr<const step_result>;
using process_list = std::vector<process_info>;
using model_list = std::vector<model_status>;
using config_ptr = std::shared_ptr<const node_config>;
using metrics_ptr = std::shared_ptr<const metrics_snapshot>;

/// Names an engine in reports: its model, and what it runs on ("cpu", "cuda:0").
struct engine_label {
  std::string model, device;
};

/// Names an engine: the canonical path of its file, and what it runs on.
struct engine_id {
  std::string path, device;
  friend auto operator<=>(const engine_id&, const engine_id&) = default;
};

/// One step as the monitor sees it.
struct step_report {
  engine_label engine;
  uint32_t num_rows = 0;
  uint32_t num_tokens = 0;  ///< New tokens.
  uint64_t forward_us = 0;
  uint64_t sample_us = 0;
  std::optional<step_gap> gap;  ///< Before it, when work was waiting.
  scheduler_stats schedule;
};

/// What an engine has to do between steps, as the monitor sees it.
struct load_report {
  engine_label engine;
  uint32_t waiting = 0, running = 0;  ///< Sequences, as in `scheduler_stats`.
};

/// The KV blocks of an engine as the monitor sees them.
struct memory_report {
  engine_label engine;
  kv_stats blocks;
};

/// One ended generation as the monitor sees it.
struct generation_report {
  std::string model;
  std::string owner;
  std::string outcome;  ///< "stop", "length", "cancelled" or the name of an error code.
  generation_usage usage;
};

/// How a node is.
struct node_health {
  bool is_draining = false;  ///< It takes no new work.
  uint32_t processes = 0, max_processes = 0;
  std::chrono::milliseconds uptime{};
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, request_id& x) {
  return f(caf::meta::type_name("request_id"), x.value);
}

}  // namespace llmos
