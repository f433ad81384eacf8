#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace llmos::test {

/// Sets a variable of the environment, or with nullptr unsets it, and puts back what stood there.
class environment_guard {
public:
  environment_guard(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    put(value);
  }
  ~environment_guard() { put(old_ ? old_->c_str() : nullptr); }
  environment_guard(const environment_guard&) = delete;
  environment_guard& operator=(const environment_guard&) = delete;

private:
  void put(const char* value) { value ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace llmos::test
