#include <string>

#include "runtime/backend/backend.hpp"

namespace llmos {

namespace {

failure bad(const std::string& text) {
  return {ec::invalid_argument, "step: " + text, "the scheduler must keep to the backend's limits"};
}

std::string of(uint64_t value, uint64_t limit) {
  return std::to_string(value) + ", the limit is " + std::to_string(limit);
}

result<void> validate_sequence(const sequence_rows& seq, size_t index,
                               const backend_limits& limits) {
  const std::string who = "sequence " + std::to_string(index);
  if (seq.num_rows == 0) return bad(who + " has no rows");
  const uint64_t end = uint64_t{seq.num_past} + seq.num_rows;
  if (end > limits.max_context) return bad(who + " ends at " + of(end, limits.max_context));
  const uint64_t n_used = (end + limits.block_tokens - 1) / limits.block_tokens;
  if (seq.blocks.size() < n_used) {
    return bad(who + " has " + std::to_string(seq.blocks.size()) + " blocks and needs " +
               std::to_string(n_used));
  }
  for (uint64_t i = 0; i < n_used; ++i) {
    if (seq.blocks[i] < limits.num_blocks) continue;
    return bad(who + " names block " + std::to_string(seq.blocks[i]) + " of a pool of " +
               std::to_string(limits.num_blocks));
  }
  return {};
}

result<void> validate_logit_rows(const step_batch& batch, const backend_limits& limits) {
  if (batch.logit_rows.size() > limits.max_logits) {
    return bad("wants logits of rows: " + of(batch.logit_rows.size(), limits.max_logits));
  }
  for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
    const uint32_t row = batch.logit_rows[i];
    if (row >= batch.tokens.size()) {
      return bad("wants logits of row " + std::to_string(row) + " of " +
                 std::to_string(batch.tokens.size()));
    }
    if (i > 0 && batch.logit_rows[i - 1] >= row) return bad("logit rows do not ascend");
  }
  return {};
}

bool is_token(token_id id, uint32_t n_vocab) {
  return id >= 0 && static_cast<uint32_t>(id) < n_vocab;
}

/// Whether it stands for a token of the step before.
bool is_pending(token_id id, uint32_t n_before) {
  return id < 0 && -1 - int64_t{id} < n_before;
}

failure not_in_vocabulary(token_id id, uint32_t n_vocab) {
  return bad("token " + std::to_string(id) + " is not in the vocabulary of " +
             std::to_string(n_vocab));
}

result<void> validate_choice(const token_choice& c, size_t n_adjustments, uint32_t n_vocab,
                             uint32_t n_before) {
  const uint64_t end = uint64_t{c.first_adjustment} + c.num_adjustments;
  if (c.num_masked > token_choice::max_masked) {
    return bad("a choice masks tokens: " + of(c.num_masked, token_choice::max_masked));
  }
  if (c.num_adjustments > token_choice::max_adjustments || end > n_adjustments) {
    return bad("a choice adjusts tokens " + std::to_string(c.first_adjustment) + " to " +
               std::to_string(end) + " of " + std::to_string(n_adjustments));
  }
  if (c.pending != 0 && !is_pending(c.pending, n_before)) {
    return bad("a choice waits for token " + std::to_string(c.pending) + " of " +
               std::to_string(n_before));
  }
  for (const token_id id : std::span(c.masked).first(c.num_masked)) {
    if (!is_token(id, n_vocab)) return not_in_vocabulary(id, n_vocab);
  }
  return {};
}

}  // namespace

result<void> validate(const step_choices& choices, uint32_t n_rows, uint32_t n_vocab,
                      uint32_t n_before) {
  if (choices.rows.size() != n_rows) {
    return bad("chooses " + std::to_string(choices.rows.size()) + " tokens from " +
               std::to_string(n_rows) + " rows");
  }
  for (const token_adjustment& a : choices.adjustments) {
    if (!is_token(a.id, n_vocab)) return not_in_vocabulary(a.id, n_vocab);
  }
  for (const token_choice& c : choices.rows) {
    LLMOS_TRY_VOID(validate_choice(c, choices.adjustments.size(), n_vocab, n_before));
  }
  return {};
}

result<void> validate(const step_batch& batch, const backend_limits& limits, uint32_t n_vocab,
                      uint32_t n_before) {
  if (batch.tokens.empty()) return bad("has no rows");
  if (batch.tokens.size() > limits.max_rows) {
    return bad("has rows: " + of(batch.tokens.size(), limits.max_rows));
  }
  if (batch.seqs.size() > limits.max_seqs) {
    return bad("has sequences: " + of(batch.seqs.size(), limits.max_seqs));
  }
  for (const token_id token : batch.tokens) {
    if (is_token(token, n_vocab) || is_pending(token, n_before)) continue;
    return not_in_vocabulary(token, n_vocab);
  }
  uint64_t next_row = 0;
  for (size_t i = 0; i < batch.seqs.size(); ++i) {
    if (batch.seqs[i].first_row != next_row) {
      return bad("sequence " + std::to_string(i) + " starts at row " +
                 std::to_string(batch.seqs[i].first_row) + ", expected " +
                 std::to_string(next_row));
    }
    LLMOS_TRY_VOID(validate_sequence(batch.seqs[i], i, limits));
    next_row += batch.seqs[i].num_rows;
  }
  if (next_row != batch.tokens.size()) {
    return bad("has " + std::to_string(batch.tokens.size()) + " tokens, but its sequences cover " +
               std::to_string(next_row));
  }
  return validate_logit_rows(batch, limits);
}

result<void> validate_copy(std::span<const block_id> from, std::span<const block_id> to,
                           const backend_limits& limits) {
  if (from.size() != to.size()) {
    return bad("copies " + std::to_string(from.size()) + " blocks to " + std::to_string(to.size()));
  }
  for (const auto blocks : {from, to}) {
    for (const block_id id : blocks) {
      if (id < limits.num_blocks) continue;
      return bad("copies block " + std::to_string(id) + " of a pool of " +
                 std::to_string(limits.num_blocks));
    }
  }
  return {};
}

result<void> validate_moves(std::span<const block_move> moves, const backend_limits& limits) {
  const uint64_t n_blocks = uint64_t{limits.num_blocks} + limits.num_host_blocks;
  for (const block_move& m : moves) {
    const bool from_host = m.from >= limits.num_blocks, to_host = m.to >= limits.num_blocks;
    if (m.from < n_blocks && m.to < n_blocks && from_host != to_host) continue;
    return bad("moves block " + std::to_string(m.from) + " to " + std::to_string(m.to) +
               " where the device has " + std::to_string(limits.num_blocks) + " and the host " +
               std::to_string(limits.num_host_blocks));
  }
  return {};
}

}  // namespace llmos
