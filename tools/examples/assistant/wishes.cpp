#include "tools/examples/assistant/wishes.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <vector>

namespace llmos::examples {

namespace {

using words = std::set<std::string>;

const words people = {"human",      "person", "agent",   "representative", "operator",
                      "manager",    "humans", "people",  "supervisor",     "colleague",
                      "colleagues", "staff",  "employee"};
/// Said of customers' own people as well, so that only talking to them counts.
const words anybody = {"someone", "somebody", "anyone", "anybody"};
const words talking = {"speak", "talk", "call", "ring", "contact", "reach", "chat"};
const words wishing = {"want", "need", "get", "give", "put", "connect", "transfer"};

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (const unsigned char c : text) {
    if (std::isalpha(c)) {
      out.back() += char(std::tolower(c));
    } else if (!out.back().empty() && c != '\'') {
      out.emplace_back();
    }
  }
  return out;
}

bool is_wish(const std::string& a, const std::string& b) {
  if (talking.contains(a)) return people.contains(b) || anybody.contains(b);
  return wishing.contains(a) && people.contains(b);
}

}  // namespace

bool asks_for_person(const std::string& text) {
  constexpr size_t reach = 4;
  const auto all = words_of(text);
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = i + 1; j < std::min(all.size(), i + 1 + reach); ++j) {
      const bool is_known = is_wish(all[i], all[j]);
      // Behind the person only talking is asked for: "my agent wants" is none.
      const bool is_turned = talking.contains(all[j]) && is_wish(all[j], all[i]);
      if (is_known || is_turned) return true;
    }
  }
  return false;
}

}  // namespace llmos::examples
