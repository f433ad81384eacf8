#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "runtime/base/check.hpp"

namespace llmos::test {

/// A fresh directory that vanishes with its contents at the end of the scope.
class temp_dir {
public:
  temp_dir() {
    auto pattern = (std::filesystem::temp_directory_path() / "llmos-test-XXXXXX").string();
    LLMOS_CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  temp_dir(const temp_dir&) = delete;
  temp_dir& operator=(const temp_dir&) = delete;
  ~temp_dir() {
    std::error_code ignored;  // a leftover in /tmp fails no test
    std::filesystem::remove_all(path_, ignored);
  }

  /// Path of `name` inside the directory.
  std::string file(const std::string& name) const { return (path_ / name).string(); }

  /// Writes `bytes` into that file and returns its path.
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream out{path_ / name, std::ios::binary};
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    LLMOS_CHECK(out.flush().good());
    return file(name);
  }

private:
  std::filesystem::path path_;
};

}  // namespace llmos::test
