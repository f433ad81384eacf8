#include "runtime/text/jinja/fault.hpp"

#include <utility>

namespace llmos::jinja {

void fail(std::string text) {
  throw fault{ec::invalid_argument, std::move(text)};
}

void fail_unsupported(std::string text) {
  throw fault{ec::unsupported, std::move(text)};
}

void fail_limit(std::string text) {
  throw fault{ec::over_limit, std::move(text)};
}

}  // namespace llmos::jinja
