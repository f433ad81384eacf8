#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>

#include "tools/examples/assistant/desk.hpp"
#include "tools/examples/common/service.hpp"

namespace llmos::examples {

namespace {

struct options {
  service_flags service;
  uint64_t seed = 1;
  std::string facts, queue;
  desk::limits limits;
  uint32_t max_tokens = 80;
};

/// Who wrote what, or who is given back.
struct input {
  std::string customer, text;
  bool is_back = false;
};

/// "/back CUSTOMER", {"customer": …, "text": …} or "CUSTOMER: TEXT"
result<input> read_input(const std::string& line, const std::string& what) {
  LLMOS_TRY_VOID(check_utf8(line, what));
  if (line.starts_with("/back ")) return input{line.substr(6), "", true};
  if (line.starts_with('{')) {
    LLMOS_TRY(const auto object, read_object(line, what));
    LLMOS_TRY(const auto customer, text_of(object, "customer", what));
    LLMOS_TRY(const auto text, text_of(object, "text", what));
    return input{customer, text};
  }
  const auto colon = line.find(": ");
  if (colon != std::string::npos && colon != 0) {
    return input{line.substr(0, colon), line.substr(colon + 2)};
  }
  return failure{ec::invalid_argument, what + " names no customer",
                 "write CUSTOMER: TEXT, {\"customer\": …, \"text\": …} or /back CUSTOMER"};
}

json to_json(const hand_over& x) {
  auto transcript = json::array();
  for (const auto& t : x.transcript) transcript.push_back({{"role", t.role}, {"text", t.text}});
  return {{"hand_over", x.customer}, {"reason", x.reason}, {"transcript", transcript}};
}

/// An answer while it comes.
struct answer_so_far {
  std::string text;
  double sum = 0;
  size_t num_tokens = 0;

  double mean() const { return num_tokens == 0 ? 0 : sum / double(num_tokens); }
};

/// Between the customers, the desk and the node. What a listener hears comes on a thread of the
/// client, so that everything here is behind one lock.
class front {
public:
  static result<std::unique_ptr<front>> open(const options& o) {
    auto out = std::unique_ptr<front>(new front(o));
    if (!o.facts.empty()) {
      LLMOS_TRY(const auto facts, read_whole(o.facts));
      LLMOS_TRY_VOID(check_utf8(facts, o.facts));
      out->instructions_ += " Use only these facts:\n" + facts;
    }
    if (!o.queue.empty()) out->queue_.open(o.queue, std::ios::app);
    if (!out->queue_) {
      return failure{ec::io_error, o.queue + " cannot be written", "choose another --queue"};
    }
    LLMOS_TRY(out->node_, connect(o.service));
    return out;
  }

  /// Errors: those of the line; io_error when nothing can be written any more.
  result<void> read(const std::string& line, const std::string& what) {
    LLMOS_TRY(const auto x, read_input(line, what));
    const std::lock_guard held(lock_);
    if (!written_) return written_.error();
    LLMOS_TRY(const auto todo, x.is_back ? desk_.back(x.customer) : desk_.hear(x.customer, x.text));
    follow(todo);
    return {};
  }

  /// Waits until nobody waits for an answer. False when one had to be handed over for a failure.
  result<bool> finish() {
    std::unique_lock held(lock_);
    changed_.wait(held, [&] { return desk_.is_idle(); });
    if (!written_) return written_.error();
    return !has_failed_;
  }

private:
  explicit front(const options& o) : o_(o), desk_(o.limits) {}

  // What follows is called with the lock held.

  void follow(const orders& todo) {
    for (const auto& x : todo.hand_overs) {
      if (o_.queue.empty()) {
        write(to_json(x));
      } else if (!(queue_ << to_json(x).dump() + "\n" << std::flush)) {
        written_ = failure{ec::io_error, o_.queue + " cannot be written", "make room for it"};
      }
    }
    if (todo.ask) ask(*todo.ask);
    changed_.notify_all();
  }

  void ask(const question& x) {
    const auto so_far = std::make_shared<answer_so_far>();
    const auto& customer = x.customer;
    node_->generate(request_of(x), {[this, customer, so_far](const client::chunk& c) {
                                      const std::lock_guard held(lock_);
                                      take(customer, *so_far, c);
                                    },
                                    [this, customer, so_far](const result<client::done>& how) {
                                      const std::lock_guard held(lock_);
                                      end(customer, *so_far, how);
                                    }});
  }

  client::request request_of(const question& x) const {
    auto messages = json::array({{{"role", "system"}, {"content", instructions_}}});
    for (const auto& t : x.turns) messages.push_back({{"role", t.role}, {"content", t.text}});
    client::request out;
    out.model = o_.service.model;
    out.messages = messages.dump();
    out.sampling = {{"seed", std::to_string(o_.seed)},
                    {"temperature", "0.2"},
                    {"max_tokens", std::to_string(o_.max_tokens)},
                    {"logprobs", "true"}};
    return out;
  }

  void take(const std::string& customer, answer_so_far& so_far, const client::chunk& c) {
    so_far.text += c.text;
    for (const auto& t : c.tokens) so_far.sum += t.logprob;
    so_far.num_tokens += c.tokens.size();
    if (!c.text.empty()) write({{"customer", customer}, {"part", c.text}});
  }

  void end(const std::string& customer, const answer_so_far& so_far,
           const result<client::done>& how) {
    if (!how) {
      has_failed_ = true;
      return follow(desk_.failed(customer, to_string(how.error())));
    }
    write({{"customer", customer},
           {"answer", so_far.text},
           {"mean_logprob", std::round(so_far.mean() * 1000) / 1000}});
    follow(desk_.answered(customer, so_far.text, so_far.mean()));
  }

  void write(const json& event) {
    if (written_) written_ = write_line(event);
  }

  options o_;
  std::string instructions_ =
      "You are the assistant of a shop. Answer the customer in one or two short sentences.";
  std::mutex lock_;
  std::condition_variable changed_;
  desk desk_;
  std::ofstream queue_;
  result<void> written_;
  bool has_failed_ = false;
  std::unique_ptr<client::client> node_;  ///< Last, as it tells listeners of its end.
};

result<bool> serve(const options& o) {
  LLMOS_TRY(const auto all, front::open(o));
  const auto is_whole = read_lines(
      [&](const std::string& line, const std::string& what) { return all->read(line, what); },
      [](ec code) { return code == ec::io_error; });
  LLMOS_TRY(const bool is_served, all->finish());  // which says what ended all
  return is_whole.ok() && *is_whole && is_served;
}

int run(int argc, char** argv) {
  options o;
  CLI::App app("Answers a shop's customers, and hands over to a person.", "assistant");
  add_service_flags(app, o.service);
  add_seed(app, o.seed);
  app.add_option("--facts", o.facts, "What the assistant may say; default: nothing in particular")
      ->type_name("FILE");
  app.add_option("--queue", o.queue, "Hand-overs are added there; default: standard output")
      ->type_name("FILE");
  app.add_option("--history", o.limits.turns, "Turns that the model is shown; default: 6")
      ->check(CLI::Range(1, 100));
  app.add_option("--unsure", o.limits.unsure,
                 "Mean log-probability below which an answer is not good enough; default: -1.5");
  app.add_option("--max-tokens", o.max_tokens, "Longest answer; default: 80")
      ->check(CLI::Range(1, 100000));
  return run_service(app, argc, argv, [&o] { return serve(o); });
}

}  // namespace
}  // namespace llmos::examples

int main(int argc, char** argv) {
  return llmos::examples::run(argc, argv);
}
