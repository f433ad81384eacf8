#include "runtime/jobs/log_exchange.hpp"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace llmos {

void log_exchange(const node_config& config, const generate_request& request, const outcome& x) {
  if (!config.log.content) return;
  nlohmann::ordered_json line;
  line["asked"] =
      request.messages.is_null() ? nlohmann::ordered_json{request.prompt} : request.messages;
  line["answered"] = x.text;
  spdlog::debug("{}", to_line(line));
}

}  // namespace llmos
