#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"
#include "runtime/model/kv_type.hpp"
#include "runtime/model/model.hpp"
#include "runtime/sampling/token_choice.hpp"

namespace llmos {

/// One sequence's share of a step: rows [first_row, first_row + num_rows) of the batch hold the
/// tokens at positions [num_past, num_past + num_rows).
struct sequence_rows {
  uint32_t first_row = 0;
  uint32_t num_rows = 0;
  uint32_t num_past = 0;  ///< Positions whose K and V already stand in `blocks`.
  /// Block table: entry i holds positions [i·block_tokens, (i+1)·block_tokens). Covers at least
  /// num_past + num_rows positions. Blocks that hold only positions below num_past may be shared
  /// with other sequences and are only read; the others belong to this sequence alone.
  std::span<const block_id> blocks;
};

/// One step of a whole engine: prefill chunks and single decodes side by side.
struct step_batch {
  std::span<const token_id> tokens;      ///< [num_rows]
  std::span<const sequence_rows> seqs;   ///< [num_seqs], rows in order and without gaps
  std::span<const uint32_t> logit_rows;  ///< [num_logits] rows whose logits are wanted, ascending
};

/// Sizes fixed when a backend is made; nothing is allocated afterwards.
struct backend_limits {
  uint32_t max_rows = 512;      ///< Rows of one step.
  uint32_t max_logits = 64;     ///< Logit rows of one step.
  uint32_t max_seqs = 64;       ///< Sequences of one step.
  uint32_t max_context = 2048;  ///< Positions of one sequence.
  uint32_t num_blocks = 128;    ///< KV blocks in the pool.
  uint32_t block_tokens = 16;   ///< Positions of one KV block.
  kv_type kv = kv_type::f16;    ///< How K and V are kept.
  /// KV blocks of the host that move_blocks() knows, where the backend has memory of its own; else
  /// 0.
  uint32_t num_host_blocks = 0;
  /// CPU compute threads; 0 = as many as the affinity mask and cgroup allow.
  uint32_t num_threads = 0;
};

/// What a backend is and what it took.
struct backend_info {
  std::string name;      ///< "reference", "cpu"
  std::string device;    ///< "2 threads, avx512-vnni"
  std::string numerics;  ///< Identifies the arithmetic: equal ids give equal bytes.
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;
};

/// What a backend will hold, known before anything is allocated.
struct backend_memory {
  uint64_t weight_bytes = 0;   ///< As the backend keeps them, and those it reads in the file.
  uint64_t kv_bytes = 0;       ///< The KV pool, of as many blocks as the limits say.
  uint64_t scratch_bytes = 0;  ///< What else the limits fix: activations, logits, tables.
  uint64_t host_bytes = 0;     ///< Blocks of the host beside a device's own memory.

  /// The sum without host_bytes, or the largest number when it leaves 64 bits.
  uint64_t total() const;
};

/// A model loaded on one device together with its KV pool. Used by one thread (the executor);
/// the backend may fan out inside a call. Everything is synchronous from the caller's view.
class backend {
public:
  virtual ~backend() = default;

  virtual const backend_info& info() const = 0;
  virtual const backend_limits& limits() const = 0;

  /// Runs one step: writes K and V of every row into its block, returns float32 logits
  /// [num_logits, n_vocab], valid until the next call. Load-independent (docs/ARCHITECTURE.md,
  /// rule 4): a row's logits depend only on the model, the numerics id and the tokens up to it.
  /// Errors: invalid_argument (a limit or the layout above is broken; nothing was written),
  /// engine_failed (the device failed; the KV pool's content is undefined).
  virtual result<std::span<const float>> forward(const step_batch& batch) = 0;

  /// Whether forward_and_choose() works.
  virtual bool chooses() const { return false; }

  /// As forward(), but returns the tokens chosen from the logits [num_logits], so that no logits
  /// leave the device. Valid until the next call. REQUIRES: chooses(). Errors: as
  /// forward(), for `choices` too.
  virtual result<std::span<const token_id>> forward_and_choose(const step_batch& batch,
                                                               const step_choices& choices);

  /// Whether begin(), wait() and finish() work.
  virtual bool runs_ahead() const { return false; }

  /// Begins what forward_and_choose() does and returns before it is done. A token -1 - i of the
  /// batch stands for the one that the step begun before chooses for its logit row i. Nothing but
  /// these three functions may be called until every step was finished. REQUIRES: as
  /// forward_and_choose(); runs_ahead(); at most one other step is begun and not finished. Errors:
  /// as forward(), for what can be seen at once.
  virtual result<void> begin(const step_batch& batch, const step_choices& choices);

  /// The n-th call returns when the n-th step that was begun has ended, well or badly. The one
  /// function that may run on another thread, beside the others. REQUIRES: that step was begun.
  virtual void wait();

  /// The tokens of the oldest step that is begun and not finished, as forward_and_choose() returns
  /// them; valid until the step after the next is begun. Waits for it. REQUIRES: there is such a
  /// step. Errors: engine_failed.
  virtual result<std::span<const token_id>> finish();

  /// Copies whole KV blocks, from[i] to to[i], all layers, in order (copy on write).
  /// Errors: invalid_argument (lengths differ, a block is not in the pool; nothing was copied).
  virtual result<void> copy_blocks(std::span<const block_id> from,
                                   std::span<const block_id> to) = 0;

  /// Whether move_blocks() works.
  virtual bool moves_blocks() const { return false; }

  /// Moves whole KV blocks, all layers, in this order: a device's to the host or back; ids from
  /// limits().num_blocks on are the host's. May run on another thread beside any function here that
  /// touches none of these blocks. Errors: invalid_argument (no such blocks; nothing was moved),
  /// unsupported, engine_failed.
  virtual result<void> move_blocks(std::span<const block_move> moves);
};

/// Makes the backend called `name` ("reference", "cpu", "cuda:0"; registry.hpp). Errors:
/// invalid_argument (names the known ones), out_of_memory (with the bytes asked for), unsupported,
/// bad_file (a module that cannot be loaded).
result<std::unique_ptr<backend>> make_backend(std::string_view name, std::shared_ptr<const model> m,
                                              const backend_limits& limits);

/// What `make_backend` would take with these arguments. Errors: those of make_backend.
result<backend_memory> memory_of_backend(std::string_view name, const model& m,
                                         const backend_limits& limits);

/// Free bytes of that backend's own memory, empty where it uses the host's. Errors: those of
/// make_backend.
result<std::optional<uint64_t>> device_room_of_backend(std::string_view name);

/// Names that `make_backend` accepts on this machine.
std::vector<std::string> backend_names();

/// Checks a batch against limits and vocabulary; shared by all backends. `n_before`: logit rows of
/// the step begun before, whose tokens the batch may name.
result<void> validate(const step_batch& batch, const backend_limits& limits, uint32_t n_vocab,
                      uint32_t n_before = 0);

/// Checks how the tokens of `n_rows` logit rows are to be chosen; shared by all backends that
/// choose.
result<void> validate(const step_choices& choices, uint32_t n_rows, uint32_t n_vocab,
                      uint32_t n_before);

/// Checks the arguments of `move_blocks` against the pools; shared by all backends.
result<void> validate_moves(std::span<const block_move> moves, const backend_limits& limits);

/// Checks the arguments of `copy_blocks` against the pool; shared by all backends.
result<void> validate_copy(std::span<const block_id> from, std::span<const block_id> to,
                           const backend_limits& limits);

}  // namespace llmos
