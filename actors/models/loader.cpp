#include "actors/models/loader.hpp"

#include <utility>

#include "actors/error.hpp"
#include "runtime/base/system_memory.hpp"

namespace llmos {

namespace {

caf::result<loaded_model_ptr, engine_plan> read_model(const node_config& config,
                                                      const std::string& name,
                                                      const std::string& path) {
  auto m = load_model_file(name, path);
  if (!m) return to_error(m.error());
  auto plan = plan_engine(*(*m)->weights, config, free_memory_bytes());
  if (!plan) return to_error(plan.error());
  return {std::move(*m), std::move(*plan)};
}

}  // namespace

loader_actor::behavior_type loader(loader_actor::pointer self, node_config config) {
  return {
      [self, config = std::move(config)](atom::load, const std::string& name,
                                         const std::string& path) {
        self->quit();
        return read_model(config, name, path);
      },
  };
}

}  // namespace llmos
