#include "tools/examples/assistant/desk.hpp"

#include <algorithm>

#include "tools/examples/assistant/wishes.hpp"

namespace llmos::examples {

result<orders> desk::hear(const std::string& customer, const std::string& text) {
  return queue(customer, conversations_[customer], text);
}

result<orders> desk::back(const std::string& customer) {
  const auto found = conversations_.find(customer);
  if (found != conversations_.end()) return queue(customer, found->second, std::nullopt);
  return failure{ec::invalid_argument, "nobody called '" + customer + "' has written",
                 "/back takes the name of a customer"};
}

result<orders> desk::queue(const std::string& customer, conversation& c, entry x) {
  if (c.waiting.size() >= limits_.waiting) {
    return failure{ec::overloaded,
                   "'" + customer + "' has " + std::to_string(limits_.waiting) + " texts waiting",
                   "write again when they are answered"};
  }
  c.waiting.push_back(std::move(x));
  orders out;
  if (!c.is_answering) go_on(customer, c, out);
  return out;
}

void desk::go_on(const std::string& customer, conversation& c, orders& out) {
  while (!c.waiting.empty() && !c.is_answering) {
    const auto x = std::move(c.waiting.front());
    c.waiting.pop_front();
    if (!x) {
      c.is_with_person = false;
      continue;
    }
    keep(c, "user", *x);
    if (c.is_with_person) continue;
    if (asks_for_person(*x)) {
      give_up(customer, c, "the customer asks for a person", out);
      continue;
    }
    c.is_answering = true;
    out.ask = question{customer, newest(c)};
  }
}

orders desk::answered(const std::string& customer, const std::string& text, double mean_logprob) {
  auto& c = conversations_[customer];
  c.is_answering = false;
  orders out;
  if (!text.empty()) keep(c, "assistant", text);
  if (text.empty()) {
    give_up(customer, c, "the model has no answer", out);
  } else if (mean_logprob < limits_.unsure) {
    give_up(customer, c, "the model is unsure of its answer", out);
  }
  go_on(customer, c, out);
  return out;
}

orders desk::failed(const std::string& customer, const std::string& why) {
  auto& c = conversations_[customer];
  c.is_answering = false;
  orders out;
  give_up(customer, c, "no answer: " + why, out);
  go_on(customer, c, out);
  return out;
}

bool desk::is_idle() const {
  return std::none_of(conversations_.begin(), conversations_.end(),
                      [](const auto& x) { return x.second.is_answering; });
}

void desk::give_up(const std::string& customer, conversation& c, const std::string& why,
                   orders& out) {
  c.is_with_person = true;
  out.hand_overs.push_back({customer, why, {c.turns.begin(), c.turns.end()}});
}

// Chat templates want the two to take turns, so that texts in a row become one.
void desk::keep(conversation& c, const std::string& role, const std::string& text) {
  if (!c.turns.empty() && c.turns.back().role == role) {
    c.turns.back().text += "\n" + text;
    return;
  }
  c.turns.push_back({role, text});
  if (c.turns.size() > limits_.transcript_turns) c.turns.pop_front();
}

std::vector<turn> desk::newest(const conversation& c) const {
  auto from = c.turns.end() - std::ptrdiff_t(std::min(limits_.turns, c.turns.size()));
  if (from != c.turns.end() && from->role != "user") ++from;
  return {from, c.turns.end()};
}

}  // namespace llmos::examples
