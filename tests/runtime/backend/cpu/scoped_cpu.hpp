#pragma once

#include <string>

#include "tests/support/environment_guard.hpp"

namespace llmos::test {

/// Sets LLMOS_CPU and puts back what stood there.
class scoped_cpu : environment_guard {
public:
  explicit scoped_cpu(const std::string& value) : environment_guard("LLMOS_CPU", value.c_str()) {}
};

}  // namespace llmos::test
