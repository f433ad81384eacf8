#include "runtime/security/peer_table.hpp"

#include <sys/socket.h>

#include <utility>

namespace llmos {

namespace {

/// The thread of the sockets sees the end of the stream, and closes it.
void cut_socket(int socket) {
  ::shutdown(socket, SHUT_RDWR);
}

}  // namespace

std::optional<peer_table::connection> peer_table::opened(int socket, clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= max_sockets(max_connections_)) return std::nullopt;
  const connection c = ++num_opened_;
  entries_[c] = {socket, now, "", "", {}};
  strangers_.insert(c);
  if (strangers_.size() > max_strangers) {
    const auto first = strangers_.begin();
    cut_socket(entries_.at(*first).socket);
    strangers_.erase(first);
  }
  return c;
}

void peer_table::closed(connection c) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(c);
  if (it == entries_.end()) return;
  if (!it->second.node.empty()) by_node_.erase(it->second.node);
  strangers_.erase(c);
  entries_.erase(it);
}

void peer_table::verified(connection c, std::string principal, tls_peer peer) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(c);
  if (it == entries_.end()) return;
  it->second.principal = std::move(principal);
  it->second.peer = std::move(peer);
}

bool peer_table::bind(connection c, const std::string& node) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(c);
  if (it == entries_.end() || it->second.principal.empty() || !it->second.node.empty()) {
    return false;
  }
  if (by_node_.size() >= max_connections_ && by_node_.count(node) == 0) return false;
  const auto [mine, fresh] = by_node_.emplace(node, c);
  if (fresh) {
    it->second.node = node;
    strangers_.erase(c);
    return true;
  }
  const entry& other = entries_.at(mine->second);
  if (other.principal == it->second.principal) cut_socket(other.socket);
  return false;
}

std::optional<std::string> peer_table::principal_of(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_node_.find(node);
  if (it == by_node_.end()) return std::nullopt;
  return entries_.at(it->second).principal;
}

std::optional<tls_peer> peer_table::peer_of(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_node_.find(node);
  if (it == by_node_.end()) return std::nullopt;
  return entries_.at(it->second).peer;
}

size_t peer_table::cut_silent(clock::time_point deadline) {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& [c, e] : entries_) {
    if (!e.node.empty() || e.since >= deadline) continue;
    cut_socket(e.socket);
    ++n;
  }
  return n;
}

void peer_table::cut(const std::string& node) {
  const std::lock_guard lock(mutex_);
  const auto it = by_node_.find(node);
  if (it != by_node_.end()) cut_socket(entries_.at(it->second).socket);
}

size_t peer_table::num_connections() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t peer_table::num_bound() const {
  const std::lock_guard lock(mutex_);
  return by_node_.size();
}

std::vector<std::string> peer_table::nodes() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [node, c] : by_node_) out.push_back(node);
  return out;
}

}  // namespace llmos
