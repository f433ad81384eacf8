#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "runtime/schedule/sequence.hpp"

namespace llmos {

/// Which of a gateway's own things a request id of the kernel belongs to. The kernel's word on a
/// request and the first events of it come from different rooms, so an event may be early; one of a
/// request that was forgotten is late, and dropped.
///
///   asked() ──▶ taken(id, key) or refused()     keep(id, event) meanwhile
template <class Key, class Event>
class request_book {
public:
  void asked() { ++num_asked_; }

  /// The kernel took it under that id; returns what came of it before.
  std::vector<Event> taken(request_id id, Key key) {
    std::vector<Event> out;
    if (auto early = early_.extract(id)) out = std::move(early.mapped());
    keys_.emplace(id, std::move(key));
    answered();
    return out;
  }
  void refused() { answered(); }

  /// Nothing for one that is not known.
  const Key* find(request_id id) const {
    const auto it = keys_.find(id);
    return it == keys_.end() ? nullptr : &it->second;
  }
  /// An event of one that is not known: kept while it may be early.
  void keep(request_id id, Event e) {
    if (num_asked_ > 0) early_[id].push_back(std::move(e));
  }
  void forget(request_id id) { keys_.erase(id); }

  size_t size() const { return keys_.size(); }

private:
  void answered() {
    if (--num_asked_ == 0) early_.clear();
  }

  size_t num_asked_ = 0;
  std::map<request_id, Key> keys_;
  std::map<request_id, std::vector<Event>> early_;
};

}  // namespace llmos
