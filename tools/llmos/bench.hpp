#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/config/node_config.hpp"

namespace llmos {

struct bench_options {
  std::string model;
  uint32_t prompt_tokens = 512;
  uint32_t decode_tokens = 64;
  std::vector<uint32_t> depths = {1024};
  std::vector<uint32_t> concurrent = {1, 4, 16};
  uint32_t repeats = 3;
  /// Of `prefill`, `decode`, `depth` (straight on the backend), `concurrent`, `streams`, `shared`,
  /// `known`, `mixed`, `cached`, `copy` and `plain` (through the whole system).
  std::vector<std::string> rows = {"prefill", "decode", "depth", "concurrent"};

  bool wants(std::string_view row) const;
};

/// Waiting times over all requests and repeats, in milliseconds.
struct bench_latency {
  double p50 = 0, p99 = 0, max = 0;
};

/// Where the time of a step goes: means in microseconds over the steps that were measured.
struct step_costs {
  double deliver = 0, plan = 0, blocks = 0, dispatch = 0;  ///< Between two steps; see step_gap.
  double compute = 0, sample = 0;                          ///< The executor's own work.

  /// Time between two steps by the time of both together.
  double idle_share() const;
};

/// One line of the table: tokens per second, one value per repeat, and their median. What a row
/// does not measure is left out.
struct bench_row {
  std::string what;  ///< "prefill 512", "decode 64 at 1024", "16 concurrent"
  uint64_t num_tokens = 0;
  std::vector<double> tokens_per_s;
  std::optional<bench_latency> first_token{};
  std::optional<bench_latency> token_gap{};  ///< From one token of a request to its next.
  std::optional<step_costs> step{};
  std::optional<uint64_t> num_cached{};  ///< Prompt tokens of a repeat that were cached.
  std::optional<double> ratio{};         ///< To the row before, median over repeats.

  double median() const;
};

/// The middle of the values (of the two middle ones, their mean). REQUIRES: !values.empty().
double median_of(std::vector<double> values);

/// Hears what is measured as soon as it is known; its errors end the bench.
struct bench_listener {
  std::function<result<void>(const backend_info&)> on_device;  ///< Once, before the rows.
  std::function<result<void>(const bench_row&)> on_row;
};

/// The rows `prefill`, `decode` and `depth` of one sequence, straight on the backend. Errors:
/// over_context, those of make_backend and forward.
result<void> bench_backend(const bench_options& o, const node_config& config,
                           std::shared_ptr<const model> weights, const bench_listener& listener);

/// Requests through the whole system, from admission to the last token:
///   concurrent   o.concurrent requests at once, short prompts, o.decode_tokens new tokens each
///   streams      16 chats of 150 words, 128 new tokens each
///   shared       16 chats with 600 words in common and 20 of their own, 32 new tokens each
///   known        the same after 16 other chats with those words in common
///   mixed        8 chats of 40 words, 256 new tokens each, while a prompt of 4,000 words comes in;
///                token gaps are those of the chats
///   cached       a chat of 600 + 20 words: cold; with the 600 in the prefix cache; and one of 20
///                words and a block alone. Prompt tokens per second up to the first token.
///   copy, plain  chats whose answers copy their prompts, and ordinary ones, one after the other
///                with their prompts cached: without speculation and with it in turn
/// New tokens of all together per second where nothing else is said. Errors: those of a request.
result<void> bench_node(const bench_options& o, const node_config& config,
                        const bench_listener& listener);

}  // namespace llmos
