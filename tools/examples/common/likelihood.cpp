#include "tools/examples/common/likelihood.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <utility>

namespace llmos::examples {

namespace {

/// A continuation on its way.
struct forced {
  std::string text;          ///< The prompt, and what has been forced.
  std::vector<int32_t> ids;  ///< Of the continuation.
  double sum = 0;
  std::shared_future<result<client::answer>> next;
};

result<forced> begin(client::client& node, const std::string& model, const std::string& prompt,
                     const std::vector<int32_t>& before, const std::string& continuation) {
  LLMOS_TRY(const auto whole, node.tokenize(prompt + continuation, model));
  const auto& ids = whole.ids;
  if (ids.size() > before.size() && std::equal(before.begin(), before.end(), ids.begin())) {
    return forced{prompt, {ids.begin() + before.size(), ids.end()}, 0, {}};
  }
  return failure{ec::unsupported,
                 "\"" + continuation + "\" cannot be scored: it does not begin with a token",
                 "end the prompt before a space or a line"};
}

client::request ask_for(int32_t id, const std::string& model, const std::string& prompt) {
  client::request out;
  out.model = model;
  out.prompt = prompt;
  out.sampling = {{"temperature", "0"},
                  {"max_tokens", "1"},
                  {"logprobs", "true"},
                  {"logit_bias", "{" + std::to_string(id) + ": 100}"}};
  return out;
}

/// Asks for token i of each. What several begin with is asked for once.
void ask_all(client::client& node, const std::string& model, size_t i, std::vector<forced>& all) {
  std::map<std::pair<std::string, int32_t>, std::shared_future<result<client::answer>>> asked;
  for (auto& x : all) {
    if (i >= x.ids.size()) continue;
    auto& next = asked[{x.text, x.ids[i]}];
    if (!next.valid()) next = node.generate(ask_for(x.ids[i], model, x.text));
    x.next = next;
  }
}

result<void> take(forced& x, size_t i) {
  const auto& said = x.next.get();
  if (!said) return said.error();
  const auto& answer = *said;
  if (answer.tokens.size() != 1 || answer.tokens[0].id != x.ids[i]) {
    return failure{ec::unsupported,
                   "the model cannot be made to say token " + std::to_string(x.ids[i]),
                   "choose another text"};
  }
  x.sum += answer.tokens[0].logprob;
  x.text += answer.text;
  return {};
}

/// What a token says of a part of a character is no text, and so no prompt either.
failure split_character(const std::string& text) {
  return {ec::unsupported, "\"" + text + "\" cannot be scored: its tokens split a character",
          "write it with common letters"};
}

}  // namespace

result<std::vector<double>> log_likelihoods(client::client& node, const std::string& model,
                                            const std::string& prompt,
                                            const std::vector<std::string>& continuations) {
  LLMOS_TRY(const auto before, node.tokenize(prompt, model));
  std::vector<forced> all;
  size_t longest = 0;
  for (const auto& x : continuations) {
    LLMOS_TRY(auto begun, begin(node, model, prompt, before.ids, x));
    longest = std::max(longest, begun.ids.size());
    all.push_back(std::move(begun));
  }
  for (size_t i = 0; i < longest; ++i) {
    ask_all(node, model, i, all);
    for (auto& x : all) {
      if (i < x.ids.size()) LLMOS_TRY_VOID(take(x, i));
    }
  }
  std::vector<double> out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].text != prompt + continuations[i]) return split_character(continuations[i]);
    out.push_back(all[i].sum);
  }
  return out;
}

}  // namespace llmos::examples
