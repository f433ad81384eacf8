#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/jobs/job.hpp"
#include "runtime/jobs/outcome.hpp"
#include "runtime/jobs/progress.hpp"

namespace llmos {

/// One item that came to its end.
struct ended_item {
  size_t index = 0;
  outcome what;
};

/// A job under way: which item goes next, what is open, what ended. Pure: the caller sends the
/// requests and writes the lines.
///
///   waiting ──next──▶ sent ──accepted──▶ running ──done, failed──▶ ended
///      ▲               │ refused             │ failed
///      └──overloaded───┴──otherwise──▶ ended │
///      └──overloaded─────────────────────────┘
///
/// Chunks and the terminal message of a request may come before its `accepted`: they are kept.
class job_run {
public:
  /// `is_done`: items that an earlier run ended, [items] or empty. The job must outlive this.
  job_run(const batch_job& job, const std::vector<bool>& is_done);

  /// The next item to send, or nothing: all are sent, `concurrency` are open, or sending pauses.
  std::optional<size_t> next();

  /// The node's answer to a sent item. An overloaded node gets it again later, as when it accepted
  /// the item and failed it for that reason: sending pauses until something ends, or `resume`.
  std::optional<ended_item> accepted(size_t index, request_id id);
  std::optional<ended_item> refused(size_t index, failure why);

  void on_chunk(text_chunk chunk);
  std::optional<ended_item> on_done(const generation_done& done);
  std::optional<ended_item> on_failed(request_id id, const failure& why);

  /// Sends again after a pause.
  void resume() { is_paused_ = false; }
  bool is_paused() const { return is_paused_; }

  /// Sends nothing any more and forgets what waits; what is open comes back as not ended.
  void stop();
  bool is_stopped() const { return is_stopped_; }
  std::vector<request_id> running() const;

  /// Nothing is open and nothing will be sent.
  bool is_finished() const { return waiting_.empty() && num_sent_ == 0 && num_accepted_ == 0; }
  job_counts counts() const;

private:
  struct open_request {
    std::optional<size_t> index;  // unknown until accepted; for ever, if that answer was lost
    outcome what;
    bool has_ended = false;
  };
  using open_map = std::map<request_id, open_request>;

  std::optional<ended_item> close(open_map::iterator it);
  void wait_again(size_t index);

  const batch_job& job_;
  std::deque<size_t> waiting_;
  size_t num_sent_ = 0;      // not answered yet
  size_t num_accepted_ = 0;  // open, with an index
  open_map open_;
  job_counts counts_;
  bool is_paused_ = false;
  bool is_stopped_ = false;
};

}  // namespace llmos
