#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/security/tls.hpp"

namespace llmos {

/// Who is connected: each connection with its socket, its verified name and the id that its node
/// gave itself. Shared between the thread of the sockets and the actors that ask who a sender is.
class peer_table {
public:
  using clock = std::chrono::steady_clock;
  using connection = uint64_t;  ///< Numbered from 1.

  /// Of sockets whose node gave no id yet. They have places of their own, so that they take none
  /// from clients; where these are taken, the one that came first is cut.
  static constexpr size_t max_strangers = 256;
  /// There are no more sockets: those that were cut are closed a moment later.
  static constexpr size_t max_sockets(size_t max_connections) {
    return max_connections + 2 * max_strangers;
  }

  /// `max_connections`: of nodes that gave their id.
  explicit peer_table(size_t max_connections) : max_connections_(max_connections) {}

  /// A socket was accepted. Nothing when there are as many as there may be.
  std::optional<connection> opened(int socket, clock::time_point now);
  /// It is about to be closed.
  void closed(connection c);

  /// The certificate was verified, and has that name here.
  void verified(connection c, std::string principal, tls_peer peer);

  /// The node gave its id. False, and the connection has to end, when it is not verified or has one
  /// already, or there are as many as there may be, or a connection that lives has it: one of the
  /// same principal is cut, as its client has come anew, and will be gone when it comes again.
  bool bind(connection c, const std::string& node);

  /// Who the node of that id is; nothing when it is not connected.
  std::optional<std::string> principal_of(const std::string& node) const;

  /// Whose certificate the node of that id has shown; nothing when it is not connected.
  std::optional<tls_peer> peer_of(const std::string& node) const;

  /// Cuts those that were accepted before `deadline` and have not given their id.
  size_t cut_silent(clock::time_point deadline);
  /// Cuts the connection of a node.
  void cut(const std::string& node);

  size_t num_connections() const;
  size_t num_bound() const;
  /// The ids of those that are connected.
  std::vector<std::string> nodes() const;

private:
  struct entry {
    int socket;
    clock::time_point since;
    std::string principal, node;
    tls_peer peer;
  };

  mutable std::mutex mutex_;
  const size_t max_connections_;
  uint64_t num_opened_ = 0;
  std::map<connection, entry> entries_;
  std::map<std::string, connection> by_node_;
  std::set<connection> strangers_;  ///< That were not cut.
};

}  // namespace llmos
