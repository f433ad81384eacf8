#pragma once

#include <string>

#include "runtime/metrics/metrics_registry.hpp"

namespace llmos {

/// What the text's Content-Type header says.
inline constexpr const char* prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// The snapshot in Prometheus's text format 0.0.4, every metric with HELP and TYPE, also those
/// without events. Behind it come the same numbers under the names of vLLM, which dashboards know
/// (`vllm:num_requests_running`, …), summed over the devices of a model and labelled `model_name`.
std::string render_prometheus(const metrics_snapshot& all);

}  // namespace llmos
