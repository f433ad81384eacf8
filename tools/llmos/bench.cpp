#include "tools/llmos/bench.hpp"

#include <algorithm>
#include <caf/actor_system.hpp>
#include <chrono>
#include <future>
#include <numeric>

#include "actors/gateway/batch/batch.hpp"
#include "actors/node.hpp"
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
  bench_row row{std::move(what), num_tokens, {}, 0};
  for (uint32_t i = 0; i <= repeats; ++i) {
    LLMOS_TRY_VOID(prepare());
    const auto start = steady::now();
    LLMOS_TRY_VOID(work());
    if (i != 0) row.tokens_per_s.push_back(static_cast<double>(num_tokens) / seconds_since(start));
  }
  return row;
}

/// Collects what the requests of one round used.
struct round_listener : batch_listener {
  std::vector<generation_usage> usages;
  failure first_failure;
  std::promise<void> finished;

  result<void> on_ended(const ended_item& item) override {
    if (item.what.done) {
      usages.push_back(item.what.done->usage);
    } else if (first_failure.code == ec::none) {
      first_failure = item.what.error;
    }
    return {};
  }
  void on_progress(const job_counts&) override {}
  void on_finished(const job_counts&, const failure&) override { finished.set_value(); }
};

/// `n` different prompts that share no prefix, so that every round computes all of them.
batch_job make_round(const bench_options& o, uint32_t n, uint32_t round) {
  batch_job job;
  job.concurrency = n;
  for (uint32_t i = 0; i < n; ++i) {
    job_item item;
    item.request.model = o.model;
    item.request.prompt = std::to_string(round) + "." + std::to_string(i) +
                          ": Write down what happened on that day in the harbour, from the first "
                          "light to the last boat, and who was there.";
    item.request.sampling.temperature = 0;
    item.request.sampling.max_tokens = o.decode_tokens;
    item.request.sampling.max_tokens_asked = true;
    item.request.sampling.ignore_eos = true;
    job.items.push_back(std::move(item));
  }
  return job;
}

result<std::vector<generation_usage>> run_round(node& system, batch_job job) {
  auto listener = std::make_shared<round_listener>();
  auto finished = listener->finished.get_future();
  batch_args args;
  args.job = std::make_shared<const batch_job>(std::move(job));
  args.find_kernel = [&system] { return system.kernel(); };
  args.listener = listener;
  system.system().spawn<caf::detached>(batch, std::move(args));
  finished.get();
  if (listener->first_failure.code != ec::none) return listener->first_failure;
  return listener->usages;
}

}  // namespace

double median_of(std::vector<double> values) {
  LLMOS_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double bench_row::median() const {
  return median_of(tokens_per_s);
}

result<void> bench_backend(const bench_options& o, const node_config& config,
                           std::shared_ptr<const model> weights, const bench_listener& listener) {
  const uint32_t deepest =
      o.depths.empty() ? 0 : *std::max_element(o.depths.begin(), o.depths.end());
  const uint32_t context = std::max(o.prompt_tokens, deepest + o.decode_tokens);
  LLMOS_TRY_VOID(check_context(*weights, context,
                               "lower --prompt-tokens, or --depths and --decode-tokens together"));
  LLMOS_TRY(const auto device,
            make_solo_backend(config, weights, config.engine.backend, context, 1));
  LLMOS_TRY_VOID(listener.on_device(device->info()));
  solo_run run{*device, weights->hp.n_vocab};
  const auto nothing = [] { return result<void>{}; };
  LLMOS_TRY(const auto prefill,
            measure("prefill " + std::to_string(o.prompt_tokens), o.prompt_tokens, o.repeats,
                    nothing, [&] { return run.prefill(o.prompt_tokens); }));
  LLMOS_TRY_VOID(listener.on_row(prefill));
  std::vector<uint32_t> depths = {0};
  depths.insert(depths.end(), o.depths.begin(), o.depths.end());
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

result<void> bench_node(const bench_options& o, const node_config& config,
                        const bench_listener& listener) {
  LLMOS_TRY(const auto system, node::start(config));
  uint32_t num_rounds = 0;
  for (const uint32_t n : o.concurrent) {
    bench_row row{std::to_string(n) + " concurrent", uint64_t{n} * o.decode_tokens, {}, 0};
    std::vector<double> first_token_ms;
    for (uint32_t i = 0; i <= o.repeats; ++i) {
      auto job = make_round(o, n, ++num_rounds);
      const auto start = steady::now();
      LLMOS_TRY(const auto usages, run_round(*system, std::move(job)));
      if (i == 0) continue;  // the first loads the model and warms up
      row.tokens_per_s.push_back(static_cast<double>(row.num_tokens) / seconds_since(start));
      for (const auto& u : usages) {
        first_token_ms.push_back(static_cast<double>(u.first_token_us) / 1000);
      }
    }
    row.first_token_ms = median_of(std::move(first_token_ms));
    LLMOS_TRY_VOID(listener.on_row(row));
  }
  system->stop(node::stop_mode::cancel);
  return {};
}

}  // namespace llmos
