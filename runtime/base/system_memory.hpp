#pragma once

#include <cstdint>
#include <string>

namespace llmos {

/// Memory this process may still take, in bytes: what the machine has available, and what is left
/// of each control group's limit (versions 1 and 2), where pages of files count as free. `root`
/// stands before /proc and /sys, for tests.
uint64_t free_memory_bytes(const std::string& root = "");

/// Memory that this process holds now, in bytes (its resident set).
uint64_t resident_bytes();

}  // namespace llmos
