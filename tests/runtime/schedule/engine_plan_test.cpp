#include "runtime/schedule/engine_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/backend/registry.hpp"
#include "tests/support/environment_guard.hpp"
#include "tests/support/random_model.hpp"

using namespace llmos;

namespace {

/// A context of 8192; 2 layers · 2 KV heads · 16 tokens · (64 + 64) halves are 16 KiB a block.
constexpr uint32_t trained = 8192;
constexpr uint64_t block_bytes = 16384;

std::shared_ptr<const model> small() {
  static const auto m = test::make_random_model({});
  return m;
}

/// What an engine with that context takes beside its KV pool.
uint64_t fixed_bytes(node_config c, uint32_t context) {
  c.engine.context = context;
  c.engine.kv_bytes = 0;
  const auto plan = plan_engine(*small(), c, {1ull << 40, 0}).value();
  CHECK(plan.memory.kv_bytes == plan.device.num_blocks * block_bytes);
  return plan.memory.weight_bytes + plan.memory.scratch_bytes;
}

}  // namespace

TEST_SUITE("runtime.schedule.engine_plan") {
  TEST_CASE("the KV pool is sized by the key, by the memory that is free, or by the limit") {
    REQUIRE(small()->hp.n_ctx_train == trained);
    struct row {
      const char* name;
      uint32_t context;
      uint64_t kv_blocks;    // engine.kv_bytes
      uint64_t free_blocks;  // what fits beside the rest
      bool is_limit;
      ec want;
      uint32_t want_context, want_blocks;
    };
    const row table[] = {
        {"room for four contexts", 0, 0, 1 << 20, false, ec::none, 8192, 4 * 512},
        {"a quarter of little memory", 0, 0, 4 * 600, false, ec::none, 8192, 600},
        {"one context at least", 0, 0, 2 * 512, false, ec::none, 8192, 512},
        {"less context when memory is short", 0, 0, 2 * 100, false, ec::none, 1600, 100},
        {"a short context may take all", 0, 0, 16, false, ec::none, 256, 16},
        {"but not more", 0, 0, 15, false, ec::out_of_memory, 0, 0},
        {"an asked context may take all", 8192, 0, 512, false, ec::none, 8192, 512},
        {"and is not cut", 8192, 0, 511, false, ec::out_of_memory, 0, 0},
        {"a limit is there to be used", 0, 0, 600, true, ec::none, 8192, 600},
        {"for four contexts at most", 0, 0, 5000, true, ec::none, 8192, 4 * 512},
        {"a limit cuts the context", 0, 0, 100, true, ec::none, 1600, 100},
        {"down to 256 tokens", 0, 0, 15, true, ec::out_of_memory, 0, 0},
        {"an asked context is not cut by a limit", 8192, 0, 511, true, ec::out_of_memory, 0, 0},
        {"bytes as asked", 512, 100, 1 << 20, false, ec::none, 512, 100},
        {"bytes as asked, even more than are free now", 512, 100, 50, false, ec::none, 512, 100},
        {"but not beyond a limit", 512, 100, 50, true, ec::out_of_memory, 0, 0},
        {"bytes too few for the context", 512, 10, 1 << 20, false, ec::out_of_memory, 0, 0},
        {"bytes that cut the context", 0, 20, 1 << 20, false, ec::none, 320, 20},
        {"a context beyond the model's", 8193, 0, 1 << 20, false, ec::invalid_argument, 0, 0},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      node_config c;
      c.engine.context = r.context;
      c.engine.kv_bytes = r.kv_blocks * block_bytes;
      const auto fixed = fixed_bytes(c, std::min(r.context != 0 ? r.context : trained, trained));
      const uint64_t bytes = fixed + r.free_blocks * block_bytes;
      const auto plan = plan_engine(*small(), c, {bytes, r.is_limit ? bytes : 0});
      CHECK((plan.ok() ? ec::none : plan.error().code) == r.want);
      if (!plan.ok()) continue;
      CHECK(plan->schedule.max_context == r.want_context);
      CHECK(plan->device.max_context == r.want_context);
      CHECK(plan->device.num_blocks == r.want_blocks);
      CHECK(plan->memory.kv_bytes == r.want_blocks * block_bytes);
      if (r.is_limit) CHECK(plan->memory.total() <= bytes);
      const bool is_cut = r.context == 0 && r.want_context < trained;
      CHECK(plan->note.empty() == !is_cut);
    }
  }

  TEST_CASE("the same bytes hold more positions of a smaller KV type") {
    node_config c;
    c.engine.context = 512;
    c.engine.kv_bytes = 100 * block_bytes;
    c.engine.kv_type = "q8_0";
    const auto plan = plan_engine(*small(), c, {1ull << 40, 0}).value();
    CHECK(plan.device.kv == kv_type::q8_0);
    // 2 layers · 2 KV heads · 2 · 16 tokens · (64 codes + 2 scales)
    CHECK(plan.device.num_blocks == 100 * block_bytes / 8704);
    CHECK(plan.memory.kv_bytes == uint64_t{plan.device.num_blocks} * 8704);
    c.engine.kv_type = "q4_0";
    const auto unknown = plan_engine(*small(), c, {1ull << 40, 0});
    REQUIRE(!unknown.ok());
    CHECK(unknown.error().code == ec::invalid_argument);
  }

  TEST_CASE("a context that was cut says to what, and by what") {
    node_config c;
    const uint64_t bytes = fixed_bytes(c, trained) + 100 * block_bytes;
    CHECK(plan_engine(*small(), c, {bytes, bytes})->note ==
          "the context is 1600 tokens instead of 8192: the memory limit allows no more");
    CHECK(plan_engine(*small(), c, {bytes, 0})->note ==
          "the context is 800 tokens instead of 8192: free memory allows no more");
    c.engine.kv_bytes = 20 * block_bytes;
    CHECK(plan_engine(*small(), c, {bytes, 0})->note ==
          "the context is 320 tokens instead of 8192: engine.kv_bytes allows no more");
  }

  TEST_CASE("weights larger than the room are refused, whatever the KV pool") {
    node_config c;
    for (const uint64_t kv_blocks : {0, 100}) {
      c.engine.kv_bytes = kv_blocks * block_bytes;
      const auto plan = plan_engine(*small(), c, {1u << 20, 0});
      REQUIRE(!plan.ok());
      CHECK(plan.error().code == ec::out_of_memory);
      CHECK(plan.error().text.ends_with("1 MiB are free"));
    }
  }

  TEST_CASE("a backend with memory of its own is planned into that") {
    node_config c;
    c.engine.backend = "example";  // says that 1 MiB is free
    const auto plan = plan_engine(*small(), c, {1ull << 40, 0});
    REQUIRE(!plan.ok());
    CHECK(plan.error().code == ec::out_of_memory);
    CHECK(plan.error().text.find("0 MiB are free on the device") != std::string::npos);
    CHECK(make_device_room(1000).bytes == 950);
    CHECK(room_of_backend("example", {7, 0})->of_device);
    CHECK(room_of_backend("cpu", {7, 0})->bytes == 7);
    CHECK_FALSE(room_of_backend("cpu", {7, 0})->of_device);
    const uint64_t all = room_of_backend("example:1", {})->bytes;
    CHECK(room_of_backend("example:1", {}, {{"example:1", 1u << 30}})->bytes < all - (900u << 20));
    CHECK(room_of_backend("example:1", {}, {{"example:0", 1u << 30}})->bytes == all);
    CHECK(room_of_backend("example:0", {}, {{"example:0", 1u << 30}})->bytes == 0);
  }

  TEST_CASE("auto is the fastest device with room, and says which it passed over") {
    REQUIRE(backends().find("example").ok());  // from now on auto knows it
    node_config c;
    const auto plan = plan_engine(*small(), c, {1ull << 40, 0}).value();
    CHECK(plan.backend == "cpu");  // there are none of it
    CHECK(plan.note.empty());
    const struct {
      const char* devices;
      const char* backend;
      bool on_device;
    } table[] = {{"1", "cpu", false}, {"2", "example:1", true}};
    for (const auto& row : table) {
      CAPTURE(row.devices);
      const test::environment_guard devices("LLMOS_EXAMPLE_DEVICES", row.devices);
      const auto placed = plan_engine(*small(), c, {1ull << 40, 0}).value();
      CHECK(placed.backend == row.backend);
      CHECK(placed.on_device == row.on_device);
      CAPTURE(placed.note);
      CHECK(
          placed.note.starts_with("example:0 was passed over: the model needs 5 MiB for weights"));
      CHECK(placed.note.ends_with("MiB for activations, 0 MiB are free on the device"));
    }
    const test::environment_guard devices("LLMOS_EXAMPLE_DEVICES", "1");
    const auto nowhere = plan_engine(*small(), c, {1u << 20, 0});
    REQUIRE(!nowhere.ok());
    CHECK(nowhere.error().text.ends_with("1 MiB are free"));  // the CPU's words
    CHECK(plan_engine(*small(), c, {fixed_bytes(c, trained) + 200 * block_bytes, 0})
              ->note.ends_with("on the device; the context is 1600 tokens instead of 8192: free "
                               "memory allows no more"));
  }

  TEST_CASE("blocks of the host come beside a device's memory, and only there") {
    node_config c;
    c.engine.backend = "example:1";
    c.engine.swap_bytes = 10 * block_bytes + 1;
    const auto plan = plan_engine(*small(), c, {1ull << 40, 0}).value();
    const uint64_t one = plan.memory.kv_bytes / plan.device.num_blocks;
    CHECK(plan.device.num_host_blocks == c.engine.swap_bytes / one);
    CHECK(plan.memory.host_bytes == plan.device.num_host_blocks * one);
    CHECK(of_host_memory(plan.on_device, plan.memory) == plan.memory.host_bytes);
    const auto refused = plan_engine(*small(), c, {one, 0});
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ec::out_of_memory);
    CHECK(refused.error().hint == "lower engine.swap_bytes");
    c.engine.backend = "cpu";
    const auto on_cpu = plan_engine(*small(), c, {1ull << 40, 0}).value();
    CHECK(on_cpu.device.num_host_blocks == 0);
    CHECK(on_cpu.note == "engine.swap_bytes is not used: KV memory is the host's");
  }
}
