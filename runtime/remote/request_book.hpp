#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "runtime/schedule/sequence.hpp"

namespace llmos {

/// Which of a gateway's own things a request id of the kernel belongs to. The kernel's word on a
/// request and the first events of it come from different rooms, so an event may be early; one of a
/// request that was forgotten is late, and dropped.
///
///   asked() ──▶ taken(number, id, key) or refused(number)     keep(id, event) meanwhile
template <class Key, class Event>
class request_book {
public:
  /// The kernel was asked; the number that its answer belongs to.
  uint64_t asked() {
    asked_.insert(++num_asked_);
    return num_asked_;
  }

  /// The kernel took it under that id; returns what came of it before.
  std::vector<Event> taken(uint64_t number, request_id id, Key key) {
    std::vector<Event> out;
    if (auto early = early_.extract(id)) out = std::move(early.mapped().events);
    keys_.emplace(id, std::move(key));
    answered(number);
    return out;
  }
  void refused(uint64_t number) { answered(number); }

  /// Nothing for one that is not known.
  const Key* find(request_id id) const {
    const auto it = keys_.find(id);
    return it == keys_.end() ? nullptr : &it->second;
  }
  /// An event of one that is not known: kept while it may be early.
  void keep(request_id id, Event e) {
    if (asked_.empty()) return;
    auto& known = early_.try_emplace(id, early{num_asked_, {}}).first->second;
    known.events.push_back(std::move(e));
  }
  void forget(request_id id) { keys_.erase(id); }

  size_t size() const { return keys_.size(); }
  size_t num_kept() const { return early_.size(); }

private:
  struct early {
    uint64_t last_asked;  ///< When the first of them came: it is none of a later one.
    std::vector<Event> events;
  };

  /// What came before the oldest one that waits was asked is late, not early.
  void answered(uint64_t number) {
    asked_.erase(number);
    const uint64_t oldest = asked_.empty() ? num_asked_ + 1 : *asked_.begin();
    std::erase_if(early_, [&](const auto& x) { return x.second.last_asked < oldest; });
  }

  uint64_t num_asked_ = 0;
  std::set<uint64_t> asked_;  ///< That wait for their answer.
  std::map<request_id, Key> keys_;
  std::map<request_id, early> early_;
};

}  // namespace llmos
