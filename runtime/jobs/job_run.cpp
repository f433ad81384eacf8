#include "runtime/jobs/job_run.hpp"

#include <iterator>
#include <utility>

namespace llmos {

namespace {

/// A queue behind the kernel was full. What an engine that fell had computed of it is dropped.
bool is_overloaded(const outcome& x) {
  return !x.done && x.error.code == ec::overloaded;
}

}  // namespace

job_run::job_run(const batch_job& job, const std::vector<bool>& is_done) : job_(job) {
  LLMOS_CHECK(is_done.empty() || is_done.size() == job.items.size());
  counts_.total = job.items.size();
  for (size_t i = 0; i < job.items.size(); ++i) {
    if (!is_done.empty() && is_done[i]) {
      ++counts_.earlier;
    } else {
      waiting_.push_back(i);
    }
  }
}

std::optional<size_t> job_run::next() {
  const size_t num_open = num_sent_ + num_accepted_;
  if (waiting_.empty() || is_paused_ || num_open >= job_.concurrency) return std::nullopt;
  const size_t index = waiting_.front();
  waiting_.pop_front();
  ++num_sent_;
  return index;
}

std::optional<ended_item> job_run::accepted(size_t index, request_id id) {
  --num_sent_;
  const auto it = open_.try_emplace(id).first;
  it->second.index = index;
  ++num_accepted_;
  return close(it);
}

std::optional<ended_item> job_run::refused(size_t index, failure why) {
  --num_sent_;
  if (is_stopped_) return std::nullopt;
  if (why.code == ec::overloaded) {
    wait_again(index);
    return std::nullopt;
  }
  ++counts_.failed;
  ended_item ended{index, {}};
  ended.what.error = std::move(why);
  return ended;
}

void job_run::on_chunk(text_chunk chunk) {
  auto& what = open_[chunk.id].what;
  what.text += chunk.text;
  std::move(chunk.tokens.begin(), chunk.tokens.end(), std::back_inserter(what.tokens));
}

std::optional<ended_item> job_run::on_done(const generation_done& done) {
  const auto it = open_.try_emplace(done.id).first;
  it->second.what.done = done;
  it->second.has_ended = true;
  return close(it);
}

std::optional<ended_item> job_run::on_failed(request_id id, const failure& why) {
  const auto it = open_.try_emplace(id).first;
  it->second.what.error = why;
  it->second.has_ended = true;
  return close(it);
}

void job_run::wait_again(size_t index) {
  waiting_.push_front(index);
  is_paused_ = true;
}

std::optional<ended_item> job_run::close(open_map::iterator it) {
  auto& request = it->second;
  if (!request.index || !request.has_ended) return std::nullopt;
  ended_item ended{*request.index, std::move(request.what)};
  open_.erase(it);
  --num_accepted_;
  if (!is_stopped_ && is_overloaded(ended.what)) {
    wait_again(ended.index);
    return std::nullopt;
  }
  is_paused_ = false;
  auto& done = ended.what.done;
  if (done && done->reason == finish_reason::cancelled) {
    if (is_stopped_) return std::nullopt;  // we asked for it: the item is as if never sent
    ended.what.error = {ec::cancelled, "the request was cancelled", "run the job with --resume"};
    done.reset();
  }
  if (!done && is_stopped_) return std::nullopt;
  ++(done ? counts_.done : counts_.failed);
  if (done) counts_.completion_tokens += done->usage.completion_tokens;
  return ended;
}

void job_run::stop() {
  is_stopped_ = true;
  waiting_.clear();
}

std::vector<request_id> job_run::running() const {
  std::vector<request_id> ids;
  for (const auto& [id, request] : open_) {
    if (!request.has_ended) ids.push_back(id);
  }
  return ids;
}

job_counts job_run::counts() const {
  auto out = counts_;
  out.running = num_sent_ + num_accepted_;
  return out;
}

}  // namespace llmos
