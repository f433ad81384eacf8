#include "runtime/text/special_tokens.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/scale.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

/// Token ids, and the text between them as it is.
using parts = std::vector<std::pair<token_id, std::string>>;

/// The definition, token by token: the longest first, over what is still text.
parts cut_plainly(const vocabulary& v, const std::string& text, bool all) {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < v.size(); ++i) {
    if (v.kinds[i] == token_kind::user_defined || (all && v.kinds[i] == token_kind::control)) {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return v.texts[a].size() > v.texts[b].size(); });
  parts out{{fragment::text, text}};
  for (const uint32_t i : order) {
    parts next;
    for (auto& [id, rest] : out) {
      for (size_t at; id == fragment::text && (at = rest.find(v.texts[i])) != std::string::npos;) {
        next.emplace_back(fragment::text, rest.substr(0, at));
        next.emplace_back(static_cast<token_id>(i), "");
        rest.erase(0, at + v.texts[i].size());
        if (v.strips_right[i]) rest.erase(0, rest.find_first_not_of(" \n"));
      }
      next.emplace_back(id, rest);
    }
    out = std::move(next);
  }
  out.erase(std::remove(out.begin(), out.end(), parts::value_type{fragment::text, ""}), out.end());
  return out;
}

parts cut(const vocabulary& v, const std::string& text, bool all) {
  parts out;
  for (const fragment& f : special_tokens{v}.partition(text, all)) {
    const bool is_text = f.id == fragment::text;
    out.emplace_back(f.id, is_text ? text.substr(f.begin, f.end - f.begin) : "");
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.text.special_tokens") {
  TEST_CASE("a text is cut as if token by token, the longest first") {
    test::splitmix64 random{13};
    const auto any_text = [&](uint64_t longest) {
      std::string out;
      for (uint64_t n = random.below(longest); n > 0; --n) out += "ab< \n"[random.below(5)];
      return out;
    };
    for (int round = 0; round < test::scaled(10'000); ++round) {
      vocabulary v;
      for (int i = 0; i < 8; ++i) {
        const std::string text = any_text(5);
        if (v.find(text)) continue;
        v.texts.add(text);
        const token_kind kinds[] = {token_kind::normal, token_kind::control,
                                    token_kind::user_defined};
        // An empty text is never matched, whatever its kind.
        v.kinds.push_back(text.empty() ? token_kind::normal : kinds[random.below(3)]);
        v.strips_right.push_back(random.below(4) == 0);
      }
      const std::string text = any_text(30);
      CAPTURE(text);
      for (const bool all : {false, true}) REQUIRE(cut(v, text, all) == cut_plainly(v, text, all));
    }
  }
}
