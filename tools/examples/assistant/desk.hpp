#pragma once

#include <deque>
#include <llmos/client.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace llmos::examples {

struct turn {
  std::string role;  ///< "user", "assistant"
  std::string text;

  friend bool operator==(const turn&, const turn&) = default;
};

/// An answer that the model is to give.
struct question {
  std::string customer;
  std::vector<turn> turns;  ///< The newest, from one of the customer on.
};

/// A conversation that is a person's from now on.
struct hand_over {
  std::string customer, reason;
  std::vector<turn> transcript;
};

/// What is to be done now: first the hand-overs, then the question.
struct orders {
  std::vector<hand_over> hand_overs;
  std::optional<question> ask;
};

/// Decides what happens to each customer's texts. Customers do not wait for each other, and what
/// one customer writes is dealt with in its order:
///
///             a text                     asks for a person, or the answer
///     ┌──────┐ ────▶ ┌───────────┐       failed or was unsure    ┌───────────────┐
///     │ idle │       │ answering │ ────────────────────────────▶ │ with a person │
///     └──────┘ ◀──── └───────────┘                               └───────────────┘
///         ▲   an answer                                                  │
///         └──────────────────────────────── back ────────────────────────┘
class desk {
public:
  struct limits {
    size_t turns = 6;               ///< That the model is shown.
    size_t transcript_turns = 100;  ///< That are kept. At least as many.
    size_t waiting = 16;            ///< Texts of a customer that may wait for an answer.
    double unsure = -1.5;           ///< Answers of a lower mean log-probability are no good.
  };

  explicit desk(limits x) : limits_(x) {}

  /// Errors: overloaded naming the customer.
  result<orders> hear(const std::string& customer, const std::string& text);
  /// The person gives the customer back, once what was written before is dealt with.
  /// Errors: invalid_argument (nobody of that name has written), overloaded.
  result<orders> back(const std::string& customer);

  /// How the last question of a customer ended. REQUIRES: it was asked.
  orders answered(const std::string& customer, const std::string& text, double mean_logprob);
  orders failed(const std::string& customer, const std::string& why);

  /// Nobody waits for an answer.
  bool is_idle() const;

private:
  /// A text, or nothing: the person gives the customer back.
  using entry = std::optional<std::string>;
  struct conversation {
    std::deque<turn> turns;
    std::deque<entry> waiting;
    bool is_answering = false, is_with_person = false;
  };

  result<orders> queue(const std::string& customer, conversation& c, entry x);
  void go_on(const std::string& customer, conversation& c, orders& out);
  void give_up(const std::string& customer, conversation& c, const std::string& why, orders& out);
  void keep(conversation& c, const std::string& role, const std::string& text);
  std::vector<turn> newest(const conversation& c) const;

  limits limits_;
  std::map<std::string, conversation> conversations_;
};

}  // namespace llmos::examples
