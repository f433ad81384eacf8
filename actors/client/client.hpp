#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/result.hpp"

/// libllmos_client: how a service uses a node. Everything here may be called from any thread, but
/// for what a callback must not do: wait for the client. Errors come as `failure` with the node's
/// code, text and hint.
namespace llmos::client {

/// Where a node is, and who asks.
struct options {
  std::string host = "127.0.0.1";
  uint16_t port = 4747;
  std::string certificate, key, ca;  ///< PEM files; llmos init makes them.
  std::string server_name;           ///< What the node's certificate is for; empty: the host.
  std::string program = "libllmos_client";  ///< For the node's logs.
  std::chrono::milliseconds connect_timeout{10000};
  /// How often each side gives a sign of life, and after how long without one it is lost.
  std::chrono::milliseconds heartbeat{2000}, silence{10000};
  /// Longest pause between attempts to connect again.
  std::chrono::milliseconds max_backoff{5000};
};

struct alternative {
  int32_t id = 0;
  float logprob = 0;
};

/// A token with its log-probability, where those were asked for.
struct token {
  int32_t id = 0;
  float logprob = 0;
  std::vector<alternative> top;
};

/// New text of a generation; it never ends inside a character.
struct chunk {
  std::string text;
  std::vector<token> tokens;
};

/// How a generation ended.
struct done {
  std::string reason;         ///< "stop", "length", "cancelled"
  bool context_full = false;  ///< The context ended it.
  std::string stop_string;    ///< That matched; usually empty.
  std::string model;
  uint64_t seed = 0;  ///< That makes the same answer again.
  uint32_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::chrono::microseconds first_token{}, total{};
};

/// What is asked for: either a prompt or messages.
struct request {
  std::string model;     ///< Empty: the node's default.
  std::string prompt;    ///< Raw text.
  std::string messages;  ///< JSON array of {"role", "content"}.
  std::string tools;     ///< JSON array, or empty.
  /// Sampling parameters by their name in the configuration: {"temperature", "0"}.
  std::vector<std::pair<std::string, std::string>> sampling;
  int32_t priority = 0;                  ///< Lower goes first; below 0 is for operators.
  std::chrono::milliseconds deadline{};  ///< 0: the node's default.
  /// How long the generation is worth while the connection is lost: the node goes on with it (for
  /// as long as it allows), and then it ends with io_error.
  std::chrono::milliseconds keep{30000};
};

struct message {
  std::string role;  ///< "system", "user", "assistant"
  std::string content;
};
/// A request whose messages are these. Errors: invalid_argument naming the one that is no UTF-8.
result<request> chat(const std::vector<message>& messages);

/// Who hears of a generation, on a thread of the client: text in order, none lost or doubled, then
/// the end, once.
struct listener {
  std::function<void(const chunk&)> on_chunk;
  std::function<void(const result<done>&)> on_end;
};

struct answer {
  std::string text;
  std::vector<token> tokens;
  done end;
};

struct model {
  std::string name, state, description;
  uint64_t file_bytes = 0;
  bool is_default = false;
};

struct process {
  uint64_t id = 0;
  std::string owner, model, state;
  uint32_t prompt_tokens = 0, generated_tokens = 0;
  std::chrono::milliseconds age{};
};

struct tokens {
  std::vector<int32_t> ids;
  uint32_t context = 0;  ///< Tokens of prompt and answer that the model takes.
};

/// How the node is.
struct status {
  std::string state;  ///< "ready"; "draining": it takes no new work.
  std::chrono::milliseconds uptime{};
  uint32_t processes = 0, max_processes = 0;  ///< Generations that have not ended.
  uint32_t waiting = 0, running = 0;          ///< Of these, those that an engine has.
  uint64_t used_blocks = 0, all_blocks = 0;   ///< Of KV memory; cached ones are not in use.
};

/// Something that happened to the node.
struct event {
  uint64_t number = 0;  ///< From 1 on; again from 1 where the node has started anew.
  std::chrono::system_clock::time_point at;
  std::string kind;           ///< "engine_started", "engine_fell", "room_restarted", "draining"
  std::string subject, text;  ///< A model's or a room's name; and more, for people.
};

/// One labelled line of a metric: a value, or durations in seconds.
struct metric_line {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
  double sum = 0, min = 0, max = 0;
  std::vector<uint64_t> buckets;  ///< One for each bound, and one above all.
};
struct metric {
  std::string name, help;
  std::string kind;  ///< "counter", "gauge", "histogram"
  std::vector<metric_line> lines;
};
struct metrics {
  std::vector<double> bounds;  ///< Upper ones of all buckets, in seconds, ascending.
  std::vector<metric> all;
};

/// What the node said when it was greeted.
struct node_info {
  std::string server;     ///< "llmos 0.1.0"
  std::string principal;  ///< Who the client is there.
  std::vector<std::string> features;
};

/// A connection that comes back by itself. A generation goes on where it was when the connection
/// comes back in time; where the node has lost it, it is asked for again with the seed that it had,
/// and what was delivered is not delivered twice.
class client {
public:
  /// Connects, and waits until the node has answered. Errors: invalid_argument and bad_file naming
  /// a file, io_error (nobody is there, TLS refused, and why), unsupported (another version).
  static result<std::unique_ptr<client>> connect(const options& o);
  /// What runs is given up: its listeners are told `cancelled`.
  ~client();

  const node_info& node() const;
  /// Told `true` when the connection comes back, `false` when it is lost.
  void on_connection(std::function<void(bool)> told);
  /// Told of what happens to the node from now on; while the connection is lost as well, once it is
  /// back. A node that starts anew tells all that it has done since.
  void on_event(std::function<void(const event&)> told);

  /// Names a generation.
  using ticket = std::string;
  /// Starts one. What goes wrong, the listener's on_end is told.
  ticket generate(const request& what, listener hears);
  /// The same with everything at the end.
  std::future<result<answer>> generate(const request& what);
  /// Ends one, which is then done with reason "cancelled". One that has ended is left alone.
  void cancel(const ticket& which);

  // These wait for the node. Errors: those of the node; deadline_exceeded after `timeout`.
  using duration = std::chrono::milliseconds;
  result<std::vector<model>> models(duration timeout = duration(30000));
  result<model> load(const std::string& name, duration timeout = duration(600000));
  result<void> unload(const std::string& name, duration timeout = duration(60000));
  result<std::vector<process>> processes(duration timeout = duration(30000));
  /// Ends one of one's own; an operator's may be anybody's.
  result<void> kill(uint64_t process, duration timeout = duration(30000));
  /// A raw text in tokens, with those that the model puts before it; "" is the default model.
  result<tokens> tokenize(const std::string& text, const std::string& model = "",
                          duration timeout = duration(600000));
  result<std::string> detokenize(const std::vector<int32_t>& ids, const std::string& model = "",
                                 duration timeout = duration(600000));
  result<llmos::client::status> status(duration timeout = duration(30000));
  /// For operators.
  result<llmos::client::metrics> metrics(duration timeout = duration(30000));
  /// What happened to the node, as far as it remembers.
  result<std::vector<event>> events(duration timeout = duration(30000));

private:
  struct impl;
  explicit client(std::unique_ptr<impl> x);
  std::unique_ptr<impl> impl_;
};

}  // namespace llmos::client
