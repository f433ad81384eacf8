#include "runtime/schedule/memory_room.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

constexpr uint64_t MiB = 1u << 20;

}  // namespace

TEST_SUITE("runtime.schedule.memory_room") {
  TEST_CASE("the room is what is free, or what the limit leaves beside what is held and promised") {
    struct row {
      const char* name;
      uint64_t limit, resident, free, promised;
      uint64_t want, want_limit;
    };
    const row table[] = {
        {"no limit", 0, 30, 1000, 0, 1000, 0},
        {"promises count", 0, 30, 1000, 400, 600, 0},
        {"more promised than free", 0, 30, 1000, 1400, 0, 0},
        {"a limit", 256, 30, 1000, 0, 256 - 30 - 16, 256},
        {"a limit and promises", 256, 30, 1000, 100, 256 - 30 - 16 - 100, 256},
        {"a limit that is used up", 256, 300, 1000, 0, 0, 256},
        {"less is free than the limit leaves", 256, 30, 100, 0, 100, 0},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      const auto room = make_room(r.limit * MiB, r.resident * MiB, r.free * MiB, r.promised * MiB);
      CHECK(room.bytes == r.want * MiB);
      CHECK(room.limit_bytes == r.want_limit * MiB);
    }
  }

  TEST_CASE("what does not fit names its parts, the room and the mend") {
    const backend_memory need{100 * MiB, 50 * MiB + 1, 10 * MiB};
    CHECK(check_room(need, {160 * MiB + 1, 0}).ok());
    const auto no_free = check_room(need, {160 * MiB, 0});
    REQUIRE(!no_free.ok());
    CHECK(no_free.error().code == ec::out_of_memory);
    CHECK(no_free.error().text ==
          "the model needs 100 MiB for weights, 51 MiB for KV memory and "
          "10 MiB for activations, 160 MiB are free");
    const auto over_limit = check_room(need, {100 * MiB, 150 * MiB});
    REQUIRE(!over_limit.ok());
    CHECK(over_limit.error().text.ends_with("the memory limit of 150 MiB leaves 100 MiB"));
    CHECK(over_limit.error().hint.starts_with("raise --memory-limit to 211MiB or more"));
    CHECK(check_room(need, {160 * MiB + 1, 211 * MiB}).ok());
  }

  TEST_CASE("a need beyond 64 bits fits nowhere") {
    CHECK(!check_room({UINT64_MAX, 1, 0}, {UINT64_MAX - 1, 0}).ok());
  }
}
