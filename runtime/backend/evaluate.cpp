#include "runtime/backend/evaluate.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>

namespace llmos {

namespace {

/// ln Σ e^x. The sum is double: a vocabulary of small terms would drown in float32.
double log_sum_exp(std::span<const float> x) {
  const float top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += std::exp(v - top);
  return top + std::log(sum);
}

/// Σ p ln(p / q) for the distributions that two rows of logits stand for.
double kl_divergence(std::span<const float> p, double p_norm, std::span<const float> q,
                     double q_norm) {
  const double shift = q_norm - p_norm;
  const float p_norm_f = static_cast<float>(p_norm);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    sum += std::exp(p[i] - p_norm_f) * (static_cast<double>(p[i]) - q[i] + shift);
  }
  return sum;
}

size_t top_of(std::span<const float> x) {
  return static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

failure bad(const std::string& text, const std::string& hint) {
  return {ec::invalid_argument, text, hint};
}

result<void> check_windows(const backend& b, size_t n_tokens, const window_options& options) {
  const uint64_t rows =
      std::min<uint64_t>(options.window_tokens, n_tokens + options.bos.has_value());
  const backend_limits& l = b.limits();
  const uint64_t room = std::min<uint64_t>(l.max_context, uint64_t{l.num_blocks} * l.block_tokens);
  if (rows <= room) return {};
  return bad(
      "a window of " + std::to_string(rows) + " tokens in a context of " + std::to_string(room),
      "make the window smaller or the context larger");
}

result<void> check_scored(const text_score& s) {
  if (s.num_scored > 0) return {};
  return bad("no token to predict", "pass a longer text");
}

/// One row of a window: what it is and whether it counts.
struct window_row {
  bool counts;
  bool has_next;  ///< A token follows within the window, which this row predicts.
  token_id next;
};

/// Cuts `tokens` into windows and those into chunks; calls f(chunk, rows, starts_window) for each
/// chunk and end_window() after each window.
template <class F, class G>
result<void> for_each_chunk(std::span<const token_id> tokens, const window_options& options,
                            size_t chunk_max, const F& f, const G& end_window) {
  const size_t extra = options.bos ? 1 : 0;
  if (options.window_tokens < 2 || options.num_unscored + 1 >= options.window_tokens) {
    return bad("a window of " + std::to_string(options.window_tokens) + " tokens scores nothing",
               "make the window larger than its unscored tokens");
  }
  std::vector<token_id> window;
  std::vector<window_row> rows;
  while (!tokens.empty()) {
    const size_t n = std::min<size_t>(tokens.size(), options.window_tokens - extra);
    window.clear();
    if (options.bos) window.push_back(*options.bos);
    window.insert(window.end(), tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(n));
    tokens = tokens.subspan(n);
    for (size_t at = 0; at < window.size(); at += chunk_max) {
      const size_t end = std::min(window.size(), at + chunk_max);
      rows.clear();
      for (size_t i = at; i < end; ++i) {
        const bool has_next = i + 1 < window.size();
        rows.push_back({i >= options.num_unscored, has_next, has_next ? window[i + 1] : 0});
      }
      LLMOS_TRY_VOID(f(std::span<const token_id>(window).subspan(at, end - at),
                       std::span<const window_row>(rows), at == 0));
    }
    end_window();
  }
  return {};
}

void score(text_score& s, const window_row& row, std::span<const float> logits, double norm) {
  if (!row.has_next) return;
  s.nll += norm - logits[static_cast<size_t>(row.next)];
  ++s.num_scored;
}

void add_row(divergence& d, const window_row& row, std::span<const float> p,
             std::span<const float> q) {
  const double p_norm = log_sum_exp(p);
  const double q_norm = log_sum_exp(q);
  ++d.num_positions;
  if (top_of(p) == top_of(q)) ++d.num_same_top;
  d.kl += kl_divergence(p, p_norm, q, q_norm);
  score(d.base, row, p, p_norm);
  score(d.other, row, q, q_norm);
}

struct file_closer {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using unique_file = std::unique_ptr<std::FILE, file_closer>;

/// Version 1.0 of NumPy's format: magic, length, a Python dict padded so that data starts at a
/// multiple of 64.
std::string npy_header(size_t n_rows, size_t n_columns) {
  std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                     std::to_string(n_rows) + ", " + std::to_string(n_columns) + "), }";
  constexpr size_t preamble = 10;
  dict.append(63 - (preamble + dict.size()) % 64, ' ');
  dict += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 0xff);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

}  // namespace

double text_score::perplexity() const {
  return std::exp(nll / static_cast<double>(num_scored));
}

double divergence::mean_kl() const {
  return kl / static_cast<double>(num_positions);
}

double divergence::same_top_share() const {
  return static_cast<double>(num_same_top) / static_cast<double>(num_positions);
}

double divergence::perplexity_gap() const {
  return other.perplexity() / base.perplexity() - 1.0;
}

solo_sequence::solo_sequence(backend& b)
    : backend_(b), blocks_(b.limits().num_blocks), rows_(b.limits().max_logits) {
  std::iota(blocks_.begin(), blocks_.end(), block_id{0});
  std::iota(rows_.begin(), rows_.end(), 0u);
}

size_t solo_sequence::rows_max() const {
  return std::min(backend_.limits().max_rows, backend_.limits().max_logits);
}

result<std::span<const float>> solo_sequence::next(std::span<const token_id> tokens) {
  LLMOS_CHECK(!tokens.empty() && tokens.size() <= rows_max());
  const sequence_rows seq{
      .num_rows = static_cast<uint32_t>(tokens.size()), .num_past = num_past_, .blocks = blocks_};
  LLMOS_TRY(const auto logits,
            backend_.forward({.tokens = tokens,
                              .seqs = {&seq, 1},
                              .logit_rows = std::span(rows_).first(tokens.size())}));
  num_past_ += seq.num_rows;
  return logits;
}

result<text_score> evaluate(backend& b, std::span<const token_id> tokens,
                            const window_options& options,
                            const std::function<void(const text_score&)>& on_window) {
  LLMOS_TRY_VOID(check_windows(b, tokens.size(), options));
  text_score total;
  solo_sequence seq(b);
  const auto run = [&](std::span<const token_id> chunk, std::span<const window_row> rows,
                       bool starts_window) -> result<void> {
    if (starts_window) seq.reset();
    LLMOS_TRY(const auto logits, seq.next(chunk));
    const size_t n_vocab = logits.size() / chunk.size();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].counts || !rows[i].has_next) continue;
      const auto row = logits.subspan(i * n_vocab, n_vocab);
      score(total, rows[i], row, log_sum_exp(row));
    }
    return {};
  };
  const auto end_window = [&] {
    if (on_window) on_window(total);
  };
  LLMOS_TRY_VOID(for_each_chunk(tokens, options, seq.rows_max(), run, end_window));
  LLMOS_TRY_VOID(check_scored(total));
  return total;
}

result<divergence> compare(backend& base, backend& other, std::span<const token_id> tokens,
                           const window_options& options,
                           const std::function<void(const divergence&)>& on_window) {
  LLMOS_TRY_VOID(check_windows(base, tokens.size(), options));
  LLMOS_TRY_VOID(check_windows(other, tokens.size(), options));
  divergence total;
  solo_sequence base_seq(base);
  solo_sequence other_seq(other);
  const auto run = [&](std::span<const token_id> chunk, std::span<const window_row> rows,
                       bool starts_window) -> result<void> {
    if (starts_window) base_seq.reset(), other_seq.reset();
    LLMOS_TRY(const auto p, base_seq.next(chunk));
    LLMOS_TRY(const auto q, other_seq.next(chunk));
    if (p.size() != q.size()) {
      return bad("the vocabularies differ: " + std::to_string(p.size() / chunk.size()) + " and " +
                     std::to_string(q.size() / chunk.size()) + " tokens",
                 "compare backends of one model");
    }
    const size_t n_vocab = p.size() / chunk.size();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].counts) continue;
      add_row(total, rows[i], p.subspan(i * n_vocab, n_vocab), q.subspan(i * n_vocab, n_vocab));
    }
    return {};
  };
  const auto end_window = [&] {
    if (on_window) on_window(total);
  };
  const size_t chunk_max = std::min(base_seq.rows_max(), other_seq.rows_max());
  LLMOS_TRY_VOID(for_each_chunk(tokens, options, chunk_max, run, end_window));
  LLMOS_TRY_VOID(check_scored(total.base));
  return total;
}

result<void> write_logits(backend& b, std::span<const token_id> tokens, const std::string& path) {
  if (tokens.empty()) return bad("no tokens to compute logits of", "pass at least one token");
  if (tokens.size() > b.limits().max_context) {
    return failure{ec::over_context,
                   std::to_string(tokens.size()) + " tokens in a context of " +
                       std::to_string(b.limits().max_context),
                   "pass fewer tokens or a larger context"};
  }
  const auto io_failure = [&] {
    return failure{ec::io_error, path + ": " + std::strerror(errno), "choose another place"};
  };
  const unique_file file(std::fopen(path.c_str(), "wb"));
  if (!file) return io_failure();
  solo_sequence seq(b);
  for (size_t at = 0; at < tokens.size(); at += seq.rows_max()) {
    const auto chunk = tokens.subspan(at, std::min(tokens.size() - at, seq.rows_max()));
    LLMOS_TRY(const auto logits, seq.next(chunk));
    const std::string head = at == 0 ? npy_header(tokens.size(), logits.size() / chunk.size()) : "";
    if (std::fwrite(head.data(), 1, head.size(), file.get()) != head.size() ||
        std::fwrite(logits.data(), sizeof(float), logits.size(), file.get()) != logits.size()) {
      return io_failure();
    }
  }
  if (std::fflush(file.get()) != 0) return io_failure();
  return {};
}

}  // namespace llmos
