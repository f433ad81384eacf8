#include "runtime/base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace llmos {

result<void> set_up_log(const std::string& level, const std::string& file) {
  spdlog::sink_ptr sink;
  try {  // spdlog says with an exception that it cannot open the file
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
  } catch (const spdlog::spdlog_ex& e) {
    return failure{ec::io_error, "log.file: " + std::string{e.what()},
                   "name a file that can be written"};
  }
  auto logger = std::make_shared<spdlog::logger>("llmos", std::move(sink));
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace llmos
