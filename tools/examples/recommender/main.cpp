#include <cmath>
#include <future>

#include "tools/examples/common/likelihood.hpp"
#include "tools/examples/common/service.hpp"
#include "tools/examples/recommender/profile.hpp"
#include "tools/examples/recommender/ranking.hpp"

namespace llmos::examples {

namespace {

constexpr int max_explanation_tokens = 60;

struct options {
  service_flags service;
  uint64_t seed = 1;
  std::string catalogue = "catalogue.json", profiles = "profiles";
  std::string user, item;
  size_t how_many = 3;
};

result<catalogue> open_catalogue(const options& o) {
  LLMOS_TRY(const auto text, read_whole(o.catalogue));
  return read_catalogue(text, o.catalogue);
}

result<bool> like(const options& o) {
  LLMOS_TRY(const auto all, open_catalogue(o));
  if (find_item(all, o.item) == nullptr) {
    return failure{ec::invalid_argument, "no item has the id '" + o.item + "'",
                   o.catalogue + " holds the ids"};
  }
  LLMOS_TRY(auto user, profile::open(o.profiles, o.user));
  LLMOS_TRY_VOID(user.like(o.item));
  LLMOS_TRY_VOID(write_line({{"user", o.user}, {"likes", user.likes().size()}}));
  return true;
}

/// What a user likes, and what is left. A like of an item that the catalogue no longer has is
/// passed over.
struct choice {
  std::vector<const item*> likes, candidates;
};

choice choose(const catalogue& all, const profile& user) {
  choice out;
  for (const auto& id : user.likes()) {
    if (const item* x = find_item(all, id)) out.likes.push_back(x);
  }
  for (const auto& x : all) {
    if (!user.has(x.id)) out.candidates.push_back(&x);
  }
  return out;
}

result<std::vector<ranked>> rank_with(client::client& node, const std::string& model,
                                      const choice& from) {
  std::vector<std::string> entries;
  for (const item* x : from.candidates) entries.push_back(entry_of(*x));
  LLMOS_TRY(const auto theirs, log_likelihoods(node, model, prompt_of(from.likes), entries));
  LLMOS_TRY(const auto nobodys, log_likelihoods(node, model, prompt_of({}), entries));
  return rank(from.candidates, theirs, nobodys);
}

client::request explanation_of(const item& x, const choice& from, const options& o) {
  client::request out;
  out.model = o.service.model;
  out.prompt = explanation_prompt(x, from.likes);
  out.sampling = {{"seed", std::to_string(o.seed)},
                  {"temperature", "0.3"},
                  {"max_tokens", std::to_string(max_explanation_tokens)},
                  {"stop", json(sentence_ends()).dump()}};
  return out;
}

json recommendation(size_t place, const ranked& x, const std::string& why) {
  return {{"place", place},
          {"id", x.what->id},
          {"title", x.what->title},
          {"category", x.what->category},
          {"score", std::round(x.score * 100) / 100},
          {"why", why}};
}

/// Writes the best with a reason for each; the model words all of them at once.
result<void> explain(client::client& node, const std::vector<ranked>& best, const choice& from,
                     const options& o) {
  std::vector<std::future<result<client::answer>>> asked;
  for (const auto& x : best) asked.push_back(node.generate(explanation_of(*x.what, from, o)));
  for (size_t i = 0; i < best.size(); ++i) {
    LLMOS_TRY(const auto said, asked[i].get());
    const auto words = opening_of(*best[i].what, from.likes) + said.text;
    const auto why = sentence_of(words, said.end.stop_string, said.end.reason == "length");
    LLMOS_TRY_VOID(write_line(recommendation(i + 1, best[i], why)));
  }
  return {};
}

result<bool> recommend(const options& o) {
  LLMOS_TRY(const auto all, open_catalogue(o));
  LLMOS_TRY(const auto user, profile::open(o.profiles, o.user));
  const auto from = choose(all, user);
  LLMOS_TRY(const auto node, connect(o.service));
  LLMOS_TRY(auto best, rank_with(*node, o.service.model, from));
  best.resize(std::min(best.size(), o.how_many));
  LLMOS_TRY_VOID(explain(*node, best, from, o));
  return true;
}

int run(int argc, char** argv) {
  options o;
  work todo;
  CLI::App app("Recommends what a user may like by what the user has liked.", "recommender");
  app.fallthrough();
  app.require_subcommand(1);
  add_service_flags(app, o.service);
  add_seed(app, o.seed);
  app.add_option("--catalogue", o.catalogue, "What there is; default: " + o.catalogue)
      ->type_name("FILE");
  app.add_option("--profiles", o.profiles, "What users like; default: " + o.profiles)
      ->type_name("DIR");
  auto* add = app.add_subcommand("like", "Records that a user likes an item");
  add->add_option("USER", o.user)->required();
  add->add_option("ITEM", o.item, "Its id")->required();
  add->callback([&] { todo = [&o] { return like(o); }; });
  auto* ask = app.add_subcommand("recommend", "Says what the user may like best");
  ask->add_option("USER", o.user)->required();
  ask->add_option("-n", o.how_many, "How many; default: 3")->check(CLI::Range(1, 1000));
  ask->callback([&] { todo = [&o] { return recommend(o); }; });
  return run_service(app, argc, argv, [&todo] { return todo(); });
}

}  // namespace
}  // namespace llmos::examples

int main(int argc, char** argv) {
  return llmos::examples::run(argc, argv);
}
