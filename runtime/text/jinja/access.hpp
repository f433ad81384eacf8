#pragma once

#include <string>
#include <string_view>

#include "runtime/text/jinja/machine.hpp"
#include "runtime/text/jinja/methods.hpp"

namespace llmos::jinja {

/// A builtin method with the value it was taken from: `x.strip`.
class bound_method : public object {
public:
  bound_method(value self, const method& m) : self_(std::move(self)), method_(m) {}

  const char* type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  value call(machine& m, arguments args) override;
  uint32_t depth() const override { return self_.depth(); }

private:
  value self_;
  const method& method_;
};

/// x.name: the attribute if there is one, else x['name'], else undefined.
value get_attribute(machine& m, const value& x, const std::string& name);
/// x.name: the attribute if there is one, else undefined.
value get_plain_attribute(machine& m, const value& x, const std::string& name);
/// x[key]: the item if there is one, else for a str the attribute, else undefined.
value get_item(machine& m, const value& x, const value& key);
/// x[start:stop:step]; None or missing for a bound that is left out.
value get_slice(machine& m, const value& x, const value& start, const value& stop,
                const value& step);
/// x(args)
value call_value(machine& m, const value& x, arguments args);
/// Calls a method that find_method found.
value call_method(machine& m, const value& self, const method& f, const arguments& args);

}  // namespace llmos::jinja
