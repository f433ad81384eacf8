#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace llmos {

/// Bounds what waits for an actor in its mailbox, by who sent it. Behind messages goes a mark; when
/// the actor has come to the mark it has handled what was before. At most one mark is on its way.
///
///   take ──▶ unmarked ──a mark is sent──▶ marked ──handled──▶ forgotten
///
/// May be used from any thread.
class intake {
public:
  /// Of one sender, and of all together.
  struct limits {
    size_t max_bytes_each, max_bytes;
  };
  explicit intake(limits l) : limits_(l) {}

  /// Another actor, in whose mailbox nothing is. `send_mark` is called from any thread, and may not
  /// call back.
  void restart(std::function<void(uint64_t mark)> send_mark);

  /// A message is about to be handed on. False, and nothing changes, when too much waits already.
  bool take(uint64_t sender, size_t bytes);

  /// The actor has come to that mark. One of an actor before it changes nothing.
  void handled(uint64_t mark);

  size_t waiting_bytes() const;

private:
  struct batch {
    std::map<uint64_t, size_t> bytes;  ///< By sender.
    size_t total = 0;
    size_t of(uint64_t sender) const;
  };
  void send_mark();

  const limits limits_;
  mutable std::mutex mutex_;
  std::function<void(uint64_t)> send_;
  batch marked_, unmarked_;
  uint64_t mark_ = 0;
  bool is_on_its_way_ = false;
};

}  // namespace llmos
