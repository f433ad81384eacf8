#pragma once

#include <caf/stateful_actor.hpp>
#include <caf/timespan.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "actors/protocol.hpp"
#include "runtime/jobs/job_run.hpp"

namespace llmos {

/// BATCH gateway. Keeps a job's requests in flight until every item has ended.
using batch_actor = caf::typed_actor<
    // Sends nothing more and cancels what runs; the job ends with what is done.
    caf::reacts_to<atom::cancel>,
    // Sends nothing more, waits this long for what runs and then cancels it.
    caf::reacts_to<atom::drain, caf::timespan>,
    // Its own alarm: an overloaded or restarted kernel is asked again.
    caf::reacts_to<atom::submit>>::extend_with<client_actor>::extend_with<status_actor>;

/// Who hears of a job. Called by the gateway, one call at a time.
class batch_listener {
public:
  virtual ~batch_listener() = default;
  /// An item came to its end. A failure (the output cannot be written) stops the job.
  virtual result<void> on_ended(const ended_item& item) = 0;
  /// Something changed; called often.
  virtual void on_progress(const job_counts& counts) = 0;
  /// The job is over; called once. `why`: the failure of `on_ended` that stopped it, or none.
  virtual void on_finished(const job_counts& counts, const failure& why) = 0;
};

struct batch_args {
  std::function<kernel_actor()> find_kernel;  ///< The kernel of this moment.
  std::shared_ptr<const batch_job> job;
  std::vector<bool> is_done;  ///< Items of an earlier run, [items] or empty.
  std::shared_ptr<batch_listener> listener;
};

struct batch_state {
  static inline constexpr const char* name = "batch";

  explicit batch_state(batch_actor::stateful_pointer<batch_state> self) : self(self) {}

  void start(batch_args a);
  void chunk(const text_chunk& x);
  void done(const generation_done& x);
  void failed(request_id id, const failure& why);
  void stop();
  void drain(caf::timespan patience);
  void send_again();
  std::string status() const;

  batch_actor::stateful_pointer<batch_state> self;

private:
  void send_waiting();
  void send(size_t index);
  void accepted(size_t index, request_id id);
  void refused(size_t index, const caf::error& e);
  void halt();
  void ask_again_later();
  void cancel(request_id id);
  void ended(std::optional<ended_item> item);
  void finish_if_over();

  batch_args args_;
  std::optional<job_run> run_;
  kernel_actor kernel_;
  uint32_t num_lost_kernels_ = 0;  ///< In a row.
  failure why_;
  bool is_over_ = false;
  bool is_alarm_set_ = false;
};

/// Spawn it detached: its listener writes files.
batch_actor::behavior_type batch(batch_actor::stateful_pointer<batch_state> self, batch_args args);

}  // namespace llmos
