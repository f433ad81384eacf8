#include "tools/llmos/bench.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "runtime/base/checked.hpp"
#include "tools/llmos/model_tools.hpp"

namespace llmos {

namespace {

using steady = std::chrono::steady_clock;

double seconds_since(steady::time_point start) {
  return std::chrono::duration<double>(steady::now() - start).count();
}

/// Feeds made-up tokens through a backend as an engine would: prefill in steps of max_rows with
/// logits for the last row only, decode row by row.
class solo_run {
public:
  solo_run(backend& device, uint32_t n_vocab) : device_(device), n_vocab_(n_vocab) {
    blocks_.resize(device.limits().num_blocks);
    std::iota(blocks_.begin(), blocks_.end(), block_id{0});
  }

  /// Starts an empty sequence and computes `n` positions.
  result<void> prefill(uint32_t n) {
    num_past_ = 0;
    while (num_past_ < n) LLMOS_TRY_VOID(step(std::min(n - num_past_, device_.limits().max_rows)));
    return {};
  }

  result<void> decode(uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) LLMOS_TRY_VOID(step(1));
    return {};
  }

private:
  result<void> step(uint32_t num_rows) {
    tokens_.resize(num_rows);
    for (auto& t : tokens_) t = next_token();
    const sequence_rows rows{0, num_rows, num_past_, blocks_};
    const uint32_t last = num_rows - 1;
    LLMOS_TRY(const auto logits, device_.forward({tokens_, {&rows, 1}, {&last, 1}}));
    LLMOS_CHECK(logits.size() == n_vocab_);
    num_past_ += num_rows;
    return {};
  }

  /// A fixed walk through the vocabulary: the arithmetic costs the same whatever the text says.
  token_id next_token() {
    walk_ = walk_ * 1664525u + 1013904223u;
    return static_cast<token_id>((walk_ >> 8) % n_vocab_);
  }

  backend& device_;
  uint32_t n_vocab_;
  std::vector<block_id> blocks_;
  std::vector<token_id> tokens_;
  uint32_t num_past_ = 0;
  uint32_t walk_ = 1;
};

/// Times `work` after `prepare`, once to warm up and then `repeats` times.
template <class Prepare, class Work>
result<bench_row> measure(std::string what, uint64_t num_tokens, uint32_t repeats, Prepare prepare,
                          Work work) {
  bench_row row{std::move(what), num_tokens, {}};
  for (uint32_t i = 0; i <= repeats; ++i) {
    LLMOS_TRY_VOID(prepare());
    const auto start = steady::now();
    LLMOS_TRY_VOID(work());
    if (i != 0) row.tokens_per_s.push_back(static_cast<double>(num_tokens) / seconds_since(start));
  }
  return row;
}

}  // namespace

double median_of(std::vector<double> values) {
  LLMOS_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

bool bench_options::wants(std::string_view row) const {
  return std::find(rows.begin(), rows.end(), row) != rows.end();
}

double step_costs::idle_share() const {
  const double between = deliver + plan + blocks + dispatch;
  return between / (between + compute + sample);
}

double bench_row::median() const {
  return median_of(tokens_per_s);
}

result<void> bench_backend(const bench_options& o, const node_config& config,
                           std::shared_ptr<const model> weights, const bench_listener& listener) {
  const bool goes_deep = o.wants("depth") && !o.depths.empty();
  const uint32_t deepest = goes_deep ? *std::max_element(o.depths.begin(), o.depths.end()) : 0;
  const uint32_t context = std::max(o.prompt_tokens, deepest + o.decode_tokens);
  LLMOS_TRY_VOID(check_context(*weights, context,
                               "lower --prompt-tokens, or --depths and --decode-tokens together"));
  LLMOS_TRY(const auto device,
            make_solo_backend(config, weights, config.engine.backend, context, 1));
  LLMOS_TRY_VOID(listener.on_device(device->info()));
  solo_run run{*device, weights->hp.n_vocab};
  const auto nothing = [] { return result<void>{}; };
  if (o.wants("prefill")) {
    LLMOS_TRY(const auto prefill,
              measure("prefill " + std::to_string(o.prompt_tokens), o.prompt_tokens, o.repeats,
                      nothing, [&] { return run.prefill(o.prompt_tokens); }));
    LLMOS_TRY_VOID(listener.on_row(prefill));
  }
  std::vector<uint32_t> depths;
  if (o.wants("decode")) depths.push_back(0);
  if (o.wants("depth")) depths.insert(depths.end(), o.depths.begin(), o.depths.end());
  for (const uint32_t depth : depths) {
    auto what = "decode " + std::to_string(o.decode_tokens);
    if (depth != 0) what += " at " + std::to_string(depth);
    LLMOS_TRY(const auto decode,
              measure(
                  std::move(what), o.decode_tokens, o.repeats, [&] { return run.prefill(depth); },
                  [&] { return run.decode(o.decode_tokens); }));
    LLMOS_TRY_VOID(listener.on_row(decode));
  }
  return {};
}

}  // namespace llmos
