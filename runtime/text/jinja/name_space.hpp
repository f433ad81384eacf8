#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/text/jinja/machine.hpp"

namespace llmos::jinja {

/// namespace(…): the one thing a template can change from inside a loop.
class name_space : public object {
public:
  explicit name_space(std::shared_ptr<mapping> attributes) : attributes_(std::move(attributes)) {}

  void set(machine& m, const std::string& name, value x);

  const char* type_name() const override { return "Namespace"; }
  std::string print(machine& m) override;
  std::optional<value> attribute(machine& m, std::string_view name) override;
  void release() override { attributes_ = std::make_shared<mapping>(); }

private:
  std::shared_ptr<mapping> attributes_;
};

}  // namespace llmos::jinja
