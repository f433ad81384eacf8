#include "actors/gateway/remote/tls_middleman.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/detail/socket_guard.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/middleman_actor_impl.hpp>
#include <caf/io/network/doorman_impl.hpp>
#include <caf/scoped_execution_unit.hpp>
#include <caf/send.hpp>
#include <optional>
#include <vector>

#include "actors/gateway/remote/tls_socket.hpp"

namespace llmos {

namespace {

namespace net = caf::io::network;

/// A payload grows as it comes, so that announcing one costs nothing.
constexpr size_t piece_bytes = 64u << 10;
constexpr uint32_t max_payload_at_client = 16u << 20;
/// What waits for a client that reads slowly: no answer is longer.
constexpr size_t max_backlog_bytes = max_payload_at_client;

/// What one side of a connection admits.
class link_rules {
public:
  virtual ~link_rules() = default;
  virtual bool opened(const result<tls_peer>& peer) = 0;
  virtual frame_verdict header(const frame_header& h) = 0;
  virtual frame_verdict payload(const frame_header& h, std::span<const std::byte> bytes) = 0;
  /// What may wait to be written.
  virtual size_t max_backlog() const = 0;
};

class node_side final : public link_rules {
public:
  node_side(std::shared_ptr<const tls_door> door, peer_table::connection number)
      : door_(std::move(door)), number_(number), filter_(rules()) {}
  ~node_side() override { door_->peers->closed(number_); }

  bool opened(const result<tls_peer>& peer) override {
    if (!peer) {
      spdlog::warn("a connection was refused: {}", peer.error().text);
      return false;
    }
    const std::string principal = door_->principal_of(*peer);
    if (principal.empty()) {
      spdlog::warn("a client that is not on the list was refused: {} ({})", peer->name,
                   peer->fingerprint);
      return false;
    }
    door_->peers->verified(number_, principal, *peer);
    return true;
  }
  frame_verdict header(const frame_header& h) override { return filter_.header(h); }
  frame_verdict payload(const frame_header& h, std::span<const std::byte> bytes) override {
    return filter_.payload(h, bytes);
  }
  size_t max_backlog() const override { return max_backlog_bytes; }

private:
  frame_rules rules() {
    frame_rules out = door_->rules;
    out.has_room = [this](size_t bytes) {
      // A message is more than its bytes.
      const bool is_taken = door_->waiting->take(number_, bytes + 512);
      if (!is_taken) spdlog::warn("a client sends faster than it can be served");
      return is_taken;
    };
    out.greeted = [this](const std::string& node) { return door_->peers->bind(number_, node); };
    return out;
  }

  std::shared_ptr<const tls_door> door_;
  peer_table::connection number_;
  frame_filter filter_;
};

class client_side final : public link_rules {
public:
  explicit client_side(std::shared_ptr<const tls_caller> caller) : caller_(std::move(caller)) {}

  bool opened(const result<tls_peer>& peer) override {
    if (!peer && caller_->failed) caller_->failed(peer.error());
    return peer.ok();
  }
  frame_verdict header(const frame_header& h) override {
    return verdict_at_client(h, max_payload_at_client);
  }
  frame_verdict payload(const frame_header&, std::span<const std::byte>) override {
    return frame_verdict::pass;
  }
  size_t max_backlog() const override { return SIZE_MAX; }

private:
  std::shared_ptr<const tls_caller> caller_;
};

/// A connection as CAF's broker sees it: whole frames, each looked at before.
class tls_scribe final : public caf::io::scribe {
public:
  tls_scribe(net::default_multiplexer& mpx, net::native_socket fd, tls_stream tls,
             std::unique_ptr<link_rules> rules)
      : scribe(net::conn_hdl_from_socket(fd)),
        socket_(mpx, fd, std::move(tls), [this](const result<tls_peer>& p) { return opened(p); }),
        rules_(std::move(rules)) {}

  /// The frames say how much is to be read; the broker, whose wishes are the same, only when.
  void configure_read(caf::io::receive_policy::config) override {
    if (std::exchange(is_launched_, true)) return;
    await_header();
    socket_.begin(this);
  }
  bool consume(caf::execution_unit* ctx, const void* data, size_t n) override;

  std::vector<char>& wr_buf() override { return socket_.is_open() ? socket_.wr_buf() : early_; }
  std::vector<char>& rd_buf() override { return socket_.rd_buf(); }
  void flush() override;
  void ack_writes(bool enable) override { socket_.ack_writes(enable); }
  void graceful_shutdown() override {
    const caf::intrusive_ptr<tls_scribe> self{this};
    detach(&socket_.backend(), false);
    socket_.finish();
  }
  void add_to_loop() override { socket_.activate(this); }
  void remove_from_loop() override { socket_.passivate(); }
  std::string addr() const override {
    const auto found = net::remote_addr_of_fd(socket_.fd());
    return found ? *found : std::string{};
  }
  uint16_t port() const override {
    const auto found = net::remote_port_of_fd(socket_.fd());
    return found ? *found : uint16_t{0};
  }

private:
  void await_header() {
    header_.reset();
    payload_.clear();
    socket_.configure_read(caf::io::receive_policy::exactly(frame_header::size_bytes));
  }
  void await_piece() {
    const size_t left = header_->payload_bytes - payload_.size();
    socket_.configure_read(caf::io::receive_policy::exactly(std::min(left, piece_bytes)));
  }
  bool opened(const result<tls_peer>& peer);
  bool take_header(caf::execution_unit* ctx, std::span<const std::byte> bytes);
  bool take_piece(caf::execution_unit* ctx, std::span<const std::byte> bytes);
  bool introduce(caf::execution_unit* ctx, std::vector<char> node_bytes);
  bool hand_on(caf::execution_unit* ctx, std::vector<char> bytes);
  bool refuse(caf::execution_unit* ctx);
  bool end(caf::execution_unit* ctx);

  tls_socket socket_;
  std::unique_ptr<link_rules> rules_;   ///< Ends before the socket does: it tells that it will.
  std::vector<char> early_;             ///< Written before the handshake was done.
  std::optional<frame_header> header_;  ///< Of the frame whose payload is being read.
  std::vector<char> header_bytes_, payload_;
  bool is_dropped_ = false;  ///< That frame is.
  bool is_launched_ = false;
  bool is_introduced_ = false;
  bool is_cut_ = false;
};

bool tls_scribe::opened(const result<tls_peer>& peer) {
  if (!rules_->opened(peer)) return false;
  socket_.wr_buf() = std::move(early_);
  socket_.flush(this);
  return true;
}

/// Answers to one who asks and does not read are not piled up.
void tls_scribe::flush() {
  if (!socket_.is_open()) return;
  socket_.flush(this);
  if (is_cut_ || socket_.wr_buf().size() <= rules_->max_backlog()) return;
  spdlog::warn("a connection from {} was cut: it does not read what it asked for", addr());
  is_cut_ = true;
  socket_.cut();
}

bool tls_scribe::consume(caf::execution_unit* ctx, const void* data, size_t n) {
  if (detached()) return false;
  if (is_cut_) return end(ctx);
  const std::span bytes(static_cast<const std::byte*>(data), n);
  return header_ ? take_piece(ctx, bytes) : take_header(ctx, bytes);
}

bool tls_scribe::take_header(caf::execution_unit* ctx, std::span<const std::byte> bytes) {
  const auto h = frame_header::parse(bytes.first<frame_header::size_bytes>());
  const auto verdict = rules_->header(h);
  if (verdict == frame_verdict::refuse) return refuse(ctx);
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  header_bytes_.assign(first, first + bytes.size());
  if (h.payload_bytes == 0) return verdict == frame_verdict::drop || hand_on(ctx, header_bytes_);
  header_ = h;
  is_dropped_ = verdict == frame_verdict::drop;
  await_piece();
  return true;
}

bool tls_scribe::take_piece(caf::execution_unit* ctx, std::span<const std::byte> bytes) {
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  payload_.insert(payload_.end(), first, first + bytes.size());
  if (payload_.size() < header_->payload_bytes) {
    await_piece();
    return true;
  }
  const auto verdict = is_dropped_ ? frame_verdict::drop
                                   : rules_->payload(*header_, std::as_bytes(std::span(payload_)));
  if (verdict == frame_verdict::refuse) return refuse(ctx);
  const bool is_first =
      header_->operation == frame_header::client_handshake && !std::exchange(is_introduced_, true);
  std::vector<char> whole = std::move(payload_);
  await_header();
  if (verdict == frame_verdict::drop) return true;
  if (is_first) return introduce(ctx, std::move(whole));
  return hand_on(ctx, header_bytes_) && hand_on(ctx, std::move(whole));
}

/// CAF forgets a node only when all that came before its end was read. Until then it would take
/// this connection for another way to that one, and pass on what is meant for it.
bool tls_scribe::introduce(caf::execution_unit* ctx, std::vector<char> node_bytes) {
  caf::node_id node;
  caf::binary_deserializer source{ctx, node_bytes};
  auto& basp = static_cast<caf::io::basp_broker&>(*parent());
  if (source(node) || basp.instance.tbl().lookup_direct(node)) {
    spdlog::info("a client has to come again: its node's last connection is not forgotten yet");
    return end(ctx);
  }
  const caf::strong_actor_ptr keeps{basp.ctrl()};
  const bool goes_on = hand_on(ctx, header_bytes_) && hand_on(ctx, std::move(node_bytes));
  // CAF spawns an actor that asks the node for its actors, and keeps it for good, for each node
  // that ever was. What it would be told is not let through.
  if (const auto it = basp.spawn_servers.find(node); it != basp.spawn_servers.end()) {
    caf::anon_send_exit(it->second, caf::exit_reason::kill);
    basp.spawn_servers.erase(it);
  }
  return goes_on;
}

/// To the broker, which takes what rd_buf() holds.
bool tls_scribe::hand_on(caf::execution_unit* ctx, std::vector<char> bytes) {
  rd_buf() = std::move(bytes);
  return scribe::consume(ctx, rd_buf().data(), rd_buf().size());
}

bool tls_scribe::refuse(caf::execution_unit* ctx) {
  spdlog::warn("a connection from {} was ended: it sent a frame that is not admitted", addr());
  return end(ctx);
}

bool tls_scribe::end(caf::execution_unit* ctx) {
  io_failure(ctx, net::operation::read);
  socket_.cut();
  return false;
}

class tls_doorman final : public net::doorman_impl {
public:
  tls_doorman(net::default_multiplexer& mpx, net::native_socket fd,
              std::shared_ptr<const tls_door> door)
      : doorman_impl(mpx, fd), door_(std::move(door)) {}

  bool new_connection() override {
    if (detached()) return false;
    auto& mpx = acceptor_.backend();
    const auto fd = renumbered(acceptor_.accepted_socket());
    if (fd < 0) return true;
    caf::detail::socket_guard guard{fd};
    net::nonblocking(fd, true);
    const auto number = door_->peers->opened(fd, peer_table::clock::now());
    if (!number) {
      spdlog::warn("a connection was refused: there are as many as there may be");
      return true;
    }
    auto scribe = caf::make_counted<tls_scribe>(mpx, fd, tls_stream::accept(door_->context, fd),
                                                std::make_unique<node_side>(door_, *number));
    guard.release();
    const auto handle = scribe->hdl();
    parent()->add_scribe(std::move(scribe));
    return doorman::new_connection(&mpx, handle);
  }

private:
  /// CAF knows connections by their descriptors, and one for some time after its end, when its
  /// number is free again: who got it would be taken for the one before. Another one then.
  int renumbered(int fd) {
    const auto& known = static_cast<caf::io::basp_broker&>(*parent()).ctx;
    while (fd >= 0 && known.count(net::conn_hdl_from_socket(fd)) != 0) {
      const int next = ::fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
      ::close(fd);
      fd = next;
    }
    return fd;
  }

  std::shared_ptr<const tls_door> door_;
};

class tls_middleman final : public caf::io::middleman_actor_impl {
public:
  tls_middleman(caf::actor_config& cfg, caf::actor broker, std::shared_ptr<const tls_door> door,
                std::shared_ptr<const tls_caller> caller)
      : middleman_actor_impl(cfg, std::move(broker)),
        door_(std::move(door)),
        caller_(std::move(caller)) {}

  const char* name() const override { return "tls-middleman"; }

protected:
  caf::expected<caf::io::scribe_ptr> connect(const std::string& host, uint16_t port) override {
    if (caller_ == nullptr) return caf::sec::cannot_connect_to_node;
    auto fd = net::new_tcp_connection(host, port);
    if (!fd) return std::move(fd.error());
    net::nonblocking(*fd, true);
    const auto& name = caller_->server_name.empty() ? host : caller_->server_name;
    return caf::make_counted<tls_scribe>(mpx(), *fd,
                                         tls_stream::connect(caller_->context, *fd, name),
                                         std::make_unique<client_side>(caller_));
  }
  caf::expected<caf::io::doorman_ptr> open(uint16_t port, const char* address,
                                           bool reuse) override {
    if (door_ == nullptr) return caf::sec::cannot_open_port;
    auto fd = net::new_tcp_acceptor_impl(port, address, reuse);
    if (!fd) return std::move(fd.error());
    return caf::make_counted<tls_doorman>(mpx(), *fd, door_);
  }

private:
  net::default_multiplexer& mpx() {
    return static_cast<net::default_multiplexer&>(system().middleman().backend());
  }

  std::shared_ptr<const tls_door> door_;
  std::shared_ptr<const tls_caller> caller_;
};

}  // namespace

caf::io::middleman_actor make_tls_middleman(caf::actor_system& sys,
                                            std::shared_ptr<const tls_door> door,
                                            std::shared_ptr<const tls_caller> caller) {
  const auto broker = sys.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  return sys.spawn<tls_middleman, caf::detached + caf::hidden>(broker, std::move(door),
                                                               std::move(caller));
}

std::string node_bytes(caf::actor_system& sys) {
  std::vector<char> bytes;
  caf::scoped_execution_unit ctx{&sys};
  caf::binary_serializer sink{&ctx, bytes};
  static_cast<void>(sink(sys.node()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace llmos
