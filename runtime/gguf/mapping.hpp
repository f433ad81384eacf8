#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "runtime/base/result.hpp"

namespace llmos {

/// A whole regular file, mapped read-only and private. Pages are read when they are touched; a file
/// that another program shortens while it is mapped ends this one with SIGBUS, as mmap defines it.
class mapping {
public:
  /// Errors: not_found, io_error (also for directories, devices and pipes), bad_file when empty.
  static result<mapping> open(const std::string& path);

  mapping() = default;
  mapping(mapping&& other) noexcept;
  mapping& operator=(mapping&& other) noexcept;
  ~mapping();

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Gives back the memory of the whole pages in `part`, which come from the file again when they
  /// are touched. Nothing happens to bytes that are not of this mapping.
  void forget(std::span<const std::byte> part) const;

private:
  explicit mapping(std::span<const std::byte> bytes) : bytes_{bytes} {}

  std::span<const std::byte> bytes_;
};

}  // namespace llmos
