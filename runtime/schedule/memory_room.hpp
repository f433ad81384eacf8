#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "runtime/backend/backend.hpp"
#include "runtime/base/result.hpp"

namespace llmos {

/// Memory that an engine may be planned into.
struct memory_room {
  uint64_t bytes = 0;        ///< What may still be taken.
  uint64_t limit_bytes = 0;  ///< The limit that leaves no more; 0: what is free leaves no more.
  bool of_device = false;    ///< A device's own memory, not the host's.

  /// Nobody else counts on it.
  bool is_ours() const { return limit_bytes != 0 || of_device; }
};

/// What the program takes beside its engines after it was measured: requests, their answers, the
/// prefix index, stacks.
constexpr uint64_t program_reserve_bytes = 16u << 20;

/// The room of a program that holds `resident_bytes`, has promised `promised_bytes` more to
/// engines and may take `free_bytes`. `limit_bytes`: of the whole program, 0 = none.
memory_room make_room(uint64_t limit_bytes, uint64_t resident_bytes, uint64_t free_bytes,
                      uint64_t promised_bytes);

/// The same, measured now.
memory_room measure_room(uint64_t limit_bytes, uint64_t promised_bytes = 0);

/// The room of a device that has `free_bytes`: a twentieth stays for what its driver takes by the
/// way.
memory_room make_device_room(uint64_t free_bytes);

/// Bytes of each device, by its one name (canonical_backend), that starting engines will take.
using device_promises = std::map<std::string, uint64_t>;

/// Where the memory of the backend called `name` comes from: its device, or the host's room.
/// Errors: those of device_room_of_backend.
result<memory_room> room_of_backend(std::string_view name, const memory_room& of_host,
                                    const device_promises& promised = {});

/// Whether a backend fits. Errors: out_of_memory naming each part, the room and the mend.
result<void> check_room(const backend_memory& need, const memory_room& room);

}  // namespace llmos
