#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
  /// Of `prefill`, `decode`, `depth` (straight on the backend), `concurrent`, `streams`, `shared`
  /// and `cached` (through the whole system).
  std::vector<std::string> rows = {"prefill", "decode", "depth", "concurrent"};

  bool wants(std::string_view row) const;
};

/// One line of the table: tokens per second, one value per repeat, and their median.
struct bench_row {
  std::string what;  ///< "prefill 512", "decode 64 at 1024", "16 concurrent"
  uint64_t num_tokens = 0;
  std::vector<double> tokens_per_s;
  double first_token_ms = 0;  ///< Median over requests and repeats; 0 where there is none.

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
///   cached       a chat of 600 + 20 words: cold; with the 600 in the prefix cache; and one of 20
///                words and a block alone. Prompt tokens per second up to the first token.
/// New tokens of all together per second where nothing else is said. Errors: those of a request.
result<void> bench_node(const bench_options& o, const node_config& config,
                        const bench_listener& listener);

}  // namespace llmos
