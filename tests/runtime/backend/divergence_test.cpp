#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/backend/evaluate.hpp"
#include "runtime/text/tokenizer.hpp"
#include "tests/support/default_model.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

/// What llama.cpp lost to its quantised activations in the first `n_windows` windows, and the
/// numpy forward pass's own score there (tests/golden/llamacpp_divergence.json).
divergence golden_divergence(const nlohmann::json& golden, size_t n_windows) {
  divergence d;
  for (size_t i = 0; i < n_windows; ++i) {
    const auto& w = golden.at("windows").at(i);
    d.num_positions += w.at("positions").get<uint64_t>();
    d.num_same_top += w.at("same_top").get<uint64_t>();
    d.kl += w.at("kl").get<double>();
    d.base.num_scored += w.at("scored").get<uint64_t>();
    d.base.nll += w.at("nll_base").get<double>();
    d.other.nll += w.at("nll_other").get<double>();
  }
  d.other.num_scored = d.base.num_scored;
  return d;
}

std::vector<token_id> tokens_of(const gguf_file& file, const std::string& path) {
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return make_tokenizer(file).value()->encode(text, {}).value();
}

}  // namespace

TEST_SUITE("runtime.backend.divergence") {
  TEST_CASE("the CPU backend loses no more of the default model than llama.cpp does") {
    const auto m = test::default_model();
    if (m == nullptr) return;
    std::ifstream in("tests/golden/llamacpp_divergence.json");
    const auto golden = nlohmann::json::parse(in);
    const uint32_t window = golden.at("window_tokens");
    auto tokens = tokens_of(*m->file, golden.at("text"));
    tokens.resize(static_cast<size_t>(test::scaled(40 * static_cast<int>(window))));
    const bool whole = tokens.size() > 20'000;

    const backend_limits limits{
        .max_rows = 128, .max_logits = 128, .max_context = window, .num_blocks = window / 16};
    const auto base = make_backend("reference", m, limits).value();
    const auto other = make_backend("cpu", m, limits).value();
    const auto d = compare(*base, *other, tokens, {.window_tokens = window}).value();
    const auto peer = golden_divergence(golden, tokens.size() / window);
    MESSAGE(d.num_positions << " positions: mean KL " << d.mean_kl() << " (llama.cpp "
                            << peer.mean_kl() << "), perplexity gap " << 100 * d.perplexity_gap()
                            << " % (" << 100 * peer.perplexity_gap() << " %), same top token "
                            << 100 * d.same_top_share() << " % (" << 100 * peer.same_top_share()
                            << " %)");
    REQUIRE(d.num_positions == peer.num_positions);
    CHECK(d.base.nll == doctest::Approx(peer.base.nll).epsilon(1e-5));  // reference and numpy
    CHECK(d.mean_kl() <= 1.1 * peer.mean_kl());
    if (!whole) return;  // the other two are noise over 2,000 tokens
    CHECK(std::abs(d.perplexity_gap()) <= 1.1 * peer.perplexity_gap());
    CHECK(d.same_top_share() >= peer.same_top_share() - 0.003);
  }

  TEST_CASE("8-bit K and V cost the default model little more than its activations do") {
    const auto m = test::default_model();
    if (m == nullptr) return;
    std::ifstream in("tests/golden/llamacpp_divergence.json");
    const auto golden = nlohmann::json::parse(in);
    auto tokens = tokens_of(*m->file, golden.at("text"));
    constexpr uint32_t window = 256;
    tokens.resize(static_cast<size_t>(test::scaled(10 * window)));
    backend_limits limits{
        .max_rows = 128, .max_logits = 128, .max_context = window, .num_blocks = window / 16};
    const auto base = make_backend("reference", m, limits).value();
    limits.kv = kv_type::q8_0;
    const auto rounded = make_backend("cpu", m, limits).value();
    const auto d = compare(*base, *rounded, tokens, {.window_tokens = window}).value();
    MESSAGE(d.num_positions << " positions: mean KL " << d.mean_kl());
    CHECK(d.mean_kl() <= 0.0055);  // 0.0037 over 4,096 tokens in one window
    CHECK(d.mean_kl() > 0.001);    // or it was not rounded
  }
}
