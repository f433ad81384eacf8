#include "runtime/text/jinja/arguments.hpp"

#include <algorithm>
#include <string_view>

#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"

namespace llmos::jinja {

bound_arguments::bound_arguments(const char* callee, const arguments& args,
                                 std::initializer_list<parameter> parameters)
    : callee_(callee), values_(parameters.size(), nullptr) {
  if (args.positional.size() > parameters.size()) {
    fail(std::string(callee) + " takes at most " + std::to_string(parameters.size()) +
         " arguments, not " + std::to_string(args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, x] : args.named) {
    const auto it =
        std::find_if(parameters.begin(), parameters.end(), [&n = name](const parameter& p) {
          return p.name != nullptr && std::string_view(p.name) == n;
        });
    if (it == parameters.end()) fail(std::string(callee) + " takes no argument '" + name + "'");
    const value*& slot = values_[static_cast<size_t>(it - parameters.begin())];
    if (slot != nullptr) fail(std::string(callee) + " got its argument '" + name + "' twice");
    slot = &x;
  }
  size_t i = 0;
  for (const parameter& p : parameters) {
    if (p.required && values_[i] == nullptr) {
      const std::string what =
          p.name != nullptr ? std::string("'") + p.name + "'" : "argument " + std::to_string(i + 1);
      fail(std::string(callee) + " needs " + what);
    }
    ++i;
  }
}

bool bound_arguments::truthy(size_t i, bool otherwise) const {
  return values_[i] != nullptr ? is_truthy(*values_[i]) : otherwise;
}

int64_t bound_arguments::integer(size_t i, int64_t otherwise) const {
  return values_[i] != nullptr ? require_integer(*values_[i], callee_) : otherwise;
}

const value* bound_arguments::unless_none(size_t i) const {
  return values_[i] != nullptr && values_[i]->is_none() ? nullptr : values_[i];
}

const text& bound_arguments::text(size_t i) const {
  return require_text(*values_[i], callee_);
}

int64_t require_integer(const value& x, const char* what) {
  const auto n = x.as_integer();
  if (x.is(kind::big_integer)) fail_unsupported("an integer that needs more than 64 bits");
  if (!n) fail(std::string(what) + " needs an int, not a " + x.type_name());
  return *n;
}

const text& require_text(const value& x, const char* what) {
  if (x.is_undefined()) fail(std::string(what) + ": " + x.origin().message());
  if (!x.is_text()) fail(std::string(what) + " needs a str, not a " + x.type_name());
  return x.text();
}

}  // namespace llmos::jinja
