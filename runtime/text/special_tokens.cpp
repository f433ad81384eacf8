#include "runtime/text/special_tokens.hpp"

#include <algorithm>
#include <iterator>
#include <map>

namespace llmos {

namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

special_tokens::special_tokens(const vocabulary& v) {
  for (uint32_t i = 0; i < v.size(); ++i) {
    const auto kind = v.kinds[i];
    const bool always = kind == token_kind::user_defined;
    if (!always && kind != token_kind::control && kind != token_kind::unknown) continue;
    const auto text = v.texts[i];
    if (text.empty()) continue;
    texts_.add(text);
    entries_.push_back({static_cast<token_id>(i), always, v.strips_right[i]});
    auto& lengths = lengths_of_[static_cast<uint8_t>(text[0])];
    if (std::find(lengths.begin(), lengths.end(), text.size()) == lengths.end()) {
      lengths.push_back(text.size());
    }
  }
}

std::vector<special_tokens::match> special_tokens::find_all(std::string_view text, bool all) const {
  std::vector<match> out;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const size_t length : lengths_of_[static_cast<uint8_t>(text[i])]) {
      if (length > text.size() - i) continue;
      const auto number = texts_.find(text.substr(i, length));
      if (number && (all || entries_[*number].always)) out.push_back({i, i + length, *number});
    }
  }
  std::sort(out.begin(), out.end(), [](const match& a, const match& b) {
    const size_t x = a.end - a.begin, y = b.end - b.begin;
    if (x != y) return x > y;
    return a.number != b.number ? a.number < b.number : a.begin < b.begin;
  });
  return out;
}

std::vector<fragment> special_tokens::partition(std::string_view text, bool all) const {
  // What a token claims: its own bytes and the white space that it strips.
  struct claim {
    size_t end;
    token_id id;
  };
  std::map<size_t, claim> claims;
  for (const match& m : find_all(text, all)) {
    const auto next = claims.lower_bound(m.begin);
    const bool overlaps = (next != claims.end() && next->first < m.end) ||
                          (next != claims.begin() && std::prev(next)->second.end > m.begin);
    if (overlaps) continue;
    size_t end = m.end;
    if (entries_[m.number].strips_right) {
      const size_t limit = next == claims.end() ? text.size() : next->first;
      while (end < limit && is_space(text[end])) ++end;
    }
    claims.emplace(m.begin, claim{end, entries_[m.number].id});
  }
  std::vector<fragment> out;
  size_t done = 0;
  for (const auto& [begin, c] : claims) {
    if (begin > done) out.push_back({done, begin, fragment::text});
    out.push_back({begin, c.end, c.id});
    done = c.end;
  }
  if (done < text.size()) out.push_back({done, text.size(), fragment::text});
  return out;
}

}  // namespace llmos
