#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/kv/kv_manager.hpp"
#include "runtime/schedule/batch_scheduler.hpp"
#include "runtime/schedule/step_runner.hpp"

namespace llmos::test {

/// The tokens of a request and the logits of every sampled position, as bytes to compare.
struct recorded_output {
  std::vector<sampled_token> tokens;
  std::vector<std::vector<float>> logits;  ///< [tokens][n_vocab]
  friend bool operator==(const recorded_output& a, const recorded_output& b);
};

/// A real engine on the stack: scheduler, memory manager, step runner and backend, joined by
/// plain calls instead of messages. Records what every request was given.
class engine_rig {
public:
  engine_rig(std::shared_ptr<const model> m, const std::string& backend_name,
             scheduler_limits limits, uint32_t num_threads = 0, kv_type kv = kv_type::f16);
  ~engine_rig();

  void submit(spec_ptr spec);
  /// Runs one step; false when nothing is left to run.
  bool step();
  void run();

  scheduler_stats stats() const { return scheduler_.stats(); }
  const kv_manager& memory() const { return memory_; }
  /// By request id.
  std::map<uint64_t, recorded_output> output;
  std::map<uint64_t, uint32_t> cached;

private:
  class recording_backend;

  void settle();
  reserve_reply answer(const reserve_request& r);
  struct flight {
    step_plan plan;
    step_result done;
    std::vector<float> logits;
  };
  void record(const flight& f);

  uint32_t n_vocab_;
  batch_scheduler scheduler_;
  kv_manager memory_;
  std::vector<float> last_logits_;  ///< [rows of the last step with logits, n_vocab]
  std::unique_ptr<step_runner> runner_;
  std::deque<flight> flights_;
  std::set<uint64_t> ended_;
};

}  // namespace llmos::test
