#pragma once

#include <cstdlib>
#include <string>

namespace llmos::test {

/// Sets LLMOS_CPU and puts back what stood there.
class scoped_cpu {
public:
  explicit scoped_cpu(const std::string& value) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    setenv(name, value.c_str(), 1);
  }
  ~scoped_cpu() {
    if (had_) {
      setenv(name, old_.c_str(), 1);
    } else {
      unsetenv(name);
    }
  }
  scoped_cpu(const scoped_cpu&) = delete;
  scoped_cpu& operator=(const scoped_cpu&) = delete;

private:
  static constexpr const char* name = "LLMOS_CPU";
  std::string old_;
  bool had_ = false;
};

}  // namespace llmos::test
