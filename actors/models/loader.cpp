#include "actors/models/loader.hpp"

#include <utility>

#include "actors/error.hpp"

namespace llmos {

namespace {

caf::result<loaded_model_ptr> read_model(const std::string& name, const std::string& path) {
  auto m = load_model_file(name, path);
  if (!m) return to_error(m.error());
  return std::move(*m);
}

}  // namespace

loader_actor::behavior_type loader(loader_actor::pointer self) {
  return {
      [self](atom::load, const std::string& name, const std::string& path) {
        self->quit();
        return read_model(name, path);
      },
  };
}

}  // namespace llmos
