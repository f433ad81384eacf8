#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/backend/evaluate.hpp"
#include "tests/support/random_model.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

namespace {

constexpr backend_limits limits{
    .max_rows = 64, .max_logits = 64, .max_context = 256, .num_blocks = 16};

std::vector<token_id> random_tokens(size_t n, uint64_t seed, uint32_t n_vocab) {
  test::splitmix64 rng(seed);
  std::vector<token_id> out(n);
  for (token_id& t : out) t = static_cast<token_id>(rng.below(n_vocab));
  return out;
}

/// Largest distance of a golden row from the backend's.
double distance(std::span<const float> have, const std::vector<float>& want) {
  REQUIRE(have.size() == want.size());
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(have[i]) - want[i]));
  }
  return worst;
}

}  // namespace

TEST_SUITE("runtime.backend.random_models") {
  TEST_CASE("the reference backend says what numpy says of every architecture and tensor type") {
    std::ifstream in("tests/golden/random_models.json");
    const auto golden = nlohmann::json::parse(in);
    const std::vector<size_t> positions = golden.at("positions");
    const auto models = test::random_models();
    REQUIRE(golden.at("models").size() == models.size());
    for (size_t i = 0; i < models.size(); ++i) {
      if (test::is_sanitized() && i % 4 != 0) continue;
      CAPTURE(models[i].name);
      const auto& want = golden["models"][i];
      REQUIRE(want.at("name") == models[i].name);
      const auto b =
          make_backend("reference", test::make_random_model(models[i].shape), limits).value();
      solo_sequence seq(*b);
      const std::vector<token_id> tokens = want.at("tokens");
      const auto logits = seq.next(tokens).value();
      const size_t n_vocab = logits.size() / tokens.size();
      for (size_t p = 0; p < positions.size(); ++p) {
        CHECK(distance(logits.subspan(positions[p] * n_vocab, n_vocab), want["logits"][p]) < 2e-3);
      }
    }
  }

  TEST_CASE("every other backend predicts nearly what the reference predicts") {
    // llama.cpp's quantised activations reach 3.5e-3 on these files. Float types need none: there
    // only K and V of 16 bits make a difference, and a wrong angle or bias would stand out.
    constexpr double kl_max_quantised = 4e-3;
    constexpr double kl_max_float = 1e-5;
    for (const std::string& name : backend_names()) {
      if (name == "reference" || (test::is_sanitized() && name == "example")) continue;
      for (const auto& random : test::random_models()) {
        const auto& shape = random.shape;
        const auto m = test::make_random_model(shape);
        const bool is_float = info_of(shape.type).block_elems == 1;
        for (const kv_type kv : {kv_type::f16, kv_type::q8_0}) {
          CAPTURE(name);
          CAPTURE(random.name);
          CAPTURE(name_of(kv));
          backend_limits l = limits;
          l.kv = kv;
          const auto other = make_backend(name, m, l).value();
          const auto tokens = random_tokens(256, shape.seed, m->hp.n_vocab);
          if (test::is_sanitized() && shape.seed % 16 != 0) {  // the reference takes minutes there
            solo_sequence seq(*other);
            const auto logits = seq.next(std::span(tokens).first(64)).value();
            for (const float x : logits) REQUIRE(std::isfinite(x));
            continue;
          }
          const auto base = make_backend("reference", m, l).value();
          const auto d = compare(*base, *other, tokens, {.window_tokens = 256}).value();
          CHECK(d.num_positions == 256);
          CHECK(d.mean_kl() < (is_float ? kl_max_float : kl_max_quantised));
          CHECK(d.mean_kl() > -1e-6);
        }
      }
    }
  }
}
