#include "runtime/schedule/memory_room.hpp"

#include <algorithm>
#include <string>

#include "runtime/backend/placement.hpp"
#include "runtime/base/checked.hpp"
#include "runtime/base/system_memory.hpp"

namespace llmos {

namespace {

uint64_t less(uint64_t a, uint64_t b) {
  return a - std::min(a, b);
}

std::string mib(uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

/// Of needs: rounded up, so that whoever grants it grants enough.
uint64_t mib_up(uint64_t bytes) {
  return ceil_div<uint64_t>(bytes, 1u << 20);
}

}  // namespace

memory_room make_room(uint64_t limit_bytes, uint64_t resident_bytes, uint64_t free_bytes,
                      uint64_t promised_bytes) {
  const uint64_t free = less(free_bytes, promised_bytes);
  if (limit_bytes == 0) return {free, 0};
  const uint64_t left =
      less(less(less(limit_bytes, resident_bytes), promised_bytes), program_reserve_bytes);
  return left <= free ? memory_room{left, limit_bytes} : memory_room{free, 0};
}

memory_room measure_room(uint64_t limit_bytes, uint64_t promised_bytes) {
  return make_room(limit_bytes, resident_bytes(), free_memory_bytes(), promised_bytes);
}

memory_room make_device_room(uint64_t free_bytes) {
  return {free_bytes - free_bytes / 20, 0, true};
}

result<memory_room> room_of_backend(std::string_view name, const memory_room& of_host,
                                    const device_promises& promised) {
  LLMOS_TRY(const auto free_bytes, device_room_of_backend(name));
  if (!free_bytes) return of_host;
  LLMOS_TRY(const std::string device, canonical_backend(name));
  const auto known = promised.find(device);
  return make_device_room(known == promised.end() ? *free_bytes : less(*free_bytes, known->second));
}

result<void> check_room(const backend_memory& need, const memory_room& room) {
  const uint64_t total = need.total();
  if (total <= room.bytes) return {};
  const std::string parts = std::to_string(mib_up(need.weight_bytes)) + " MiB for weights, " +
                            std::to_string(mib_up(need.kv_bytes)) + " MiB for KV memory and " +
                            std::to_string(mib_up(need.scratch_bytes)) + " MiB for activations, ";
  if (room.limit_bytes == 0) {
    return failure{ec::out_of_memory,
                   "the model needs " + parts + mib(room.bytes) +
                       (room.of_device ? " are free on the device" : " are free"),
                   "free some memory, lower engine.context or use a smaller model"};
  }
  const auto enough = checked_add(room.limit_bytes, total - room.bytes).value_or(total);
  return failure{ec::out_of_memory,
                 "the model needs " + parts + "the memory limit of " + mib(room.limit_bytes) +
                     " leaves " + mib(room.bytes),
                 "raise --memory-limit to " + std::to_string(mib_up(enough)) +
                     "MiB or more, lower engine.context or use a smaller model"};
}

}  // namespace llmos
