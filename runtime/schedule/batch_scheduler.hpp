#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/schedule/prefill_pace.hpp"
#include "runtime/schedule/sequence.hpp"
#include "runtime/schedule/speculation.hpp"

namespace llmos {

/// Limits of one engine's scheduler; checked by `validate`.
struct scheduler_limits {
  uint32_t max_step_tokens = 256;    ///< Rows of one step, decodes and prefill together.
  uint32_t max_prefill_chunk = 256;  ///< Prefill rows of one sequence in one step.
  uint32_t max_running = 32;         ///< Sequences that hold blocks.
  uint32_t max_waiting = 16384;      ///< Queue; more is `overloaded`.
  uint32_t max_context = 2048;       ///< prompt + max_tokens of one sequence.
  uint32_t num_blocks = 128;         ///< Blocks of the engine's pool.
  uint32_t block_tokens = 16;        ///< Positions of one block.
  uint32_t max_step_drafts = 0;      ///< Guessed tokens verified in one step; 0 = none.
  /// How much prefill may lengthen a step while others wait for their next token; 0 = as much as
  /// the budget allows.
  uint64_t max_stall_us = 0;
  /// Whether a step that only decodes may be followed by another before its tokens are known.
  bool run_ahead = false;
};
result<void> validate(const scheduler_limits& x);

/// Asks the memory manager for the blocks of a whole sequence (prefix reuse included).
struct reserve_request {
  request_id id;
  std::string tenant;
  std::shared_ptr<const std::vector<token_id>> tokens;
  uint32_t num_blocks = 0;  ///< Blocks the sequence shall hold, cached ones included.
};

/// The memory manager's answer: granted, or not now.
struct reserve_reply {
  request_id id;
  bool granted = false;
  std::vector<block_id> blocks;  ///< [num_blocks] when granted; the cached ones first.
  uint32_t num_cached = 0;       ///< Tokens whose K and V already stand in `blocks`.
};

/// Announces blocks whose K and V are complete, for the prefix index.
struct seal_notice {
  std::string tenant;
  std::shared_ptr<const std::vector<token_id>> tokens;  ///< Whole blocks from position 0.
  std::vector<block_id> blocks;
};

/// What the scheduler wants of its neighbours after an event; drained by the actor, in this order.
struct scheduler_output {
  std::vector<token_event> tokens;
  std::vector<seal_notice> seals;
  std::vector<block_id> released;
  std::vector<reserve_request> reserves;
  uint32_t lease = 0;  ///< Blocks asked ahead of need; at most one such request is open.
};

struct scheduler_stats {
  uint32_t waiting = 0;
  uint32_t running = 0;
  uint64_t steps = 0;
  uint64_t steps_ahead =
      0;  ///< Of these, those that were planned before the tokens they begin with.
  uint64_t preemptions = 0;
  uint64_t prefill_tokens = 0;
  uint64_t decode_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t draft_tokens = 0;     ///< Guesses that steps verified.
  uint64_t accepted_tokens = 0;  ///< Guesses that came true.
};

/// Continuous batching: decides which tokens of which sequences run in the next step. Decodes
/// first, then guesses of what follows them, then partial prefills, then admissions, within a token
/// budget; among these by priority, then first come first served. Guesses change no token: they
/// take rows only where those pay (speculation.hpp), and blocks only of what their sequence has.
/// Where steps may run ahead, the next one is planned while a step that only decodes is in flight,
/// for the same sequences one position on; that of a sequence whose end comes out meanwhile is
/// computed for nothing. It waits as soon as there is something else to do: a prompt, guesses that
/// pay. Holds block ids leased by the memory manager, never memory. When blocks run out, the
/// youngest sequence of the lowest priority is preempted: its blocks go back and it is recomputed
/// later (the same tokens follow, rule 4). Pure: no clock, no actor, no I/O; every answer of a
/// neighbour is a method call.
///
///   waiting ──reserve/granted──▶ running ──end──▶ gone
///      ▲                            │
///      └─────preempt, go back───────┘
class batch_scheduler {
public:
  explicit batch_scheduler(scheduler_limits limits);

  /// Queues a sequence. One that is here already keeps its place and goes on from the spec's
  /// tokens: those behind them that it has generated were lost on their way and come again. Errors:
  /// invalid_argument (empty prompt, id in use for another prompt), over_context, out_of_memory
  /// (could not fit the pool even alone), overloaded.
  result<void> enqueue(spec_ptr spec);

  /// Drops a sequence; its blocks go back when the step that names them ends. Unknown ids are
  /// ignored: the sequence may have ended meanwhile.
  void cancel(request_id id);

  /// The memory manager's answers.
  void on_reserved(reserve_reply reply);
  void on_leased(std::vector<block_id> blocks);

  /// The next step, or nothing when no other may be in flight or nothing can run.
  std::optional<step_plan> next_step();

  /// Takes the result of the oldest step in flight. REQUIRES: result.step is that step, no error.
  void step_done(const step_result& done);

  /// What to send after the calls above; empties itself.
  scheduler_output drain();

  scheduler_stats stats() const;
  bool idle() const { return sequences_.empty(); }
  bool in_flight() const { return !flights_.empty(); }

private:
  enum class phase : uint8_t { waiting, reserving, running };

  /// In the queue: ordered as they are served.
  struct queue_place {
    int32_t priority = 0;
    uint64_t arrival = 0;
    friend auto operator<=>(const queue_place&, const queue_place&) = default;
  };
  struct sequence {
    spec_ptr spec;
    queue_place place;
    phase state = phase::waiting;
    bool cancelled = false;            ///< Goes when the open reservation or step has ended.
    bool over = false;                 ///< It has ended: goes when the steps in flight have.
    bool known = false;                ///< The executor has the spec.
    std::optional<size_t> go_back_to;  ///< Number of tokens to keep when that event has come.
    std::vector<token_id> tokens;      ///< Prompt and everything generated.
    std::vector<block_id> blocks;
    uint32_t num_computed = 0;      ///< Positions in the KV cache, the step in flight excluded.
    uint32_t num_sealed = 0;        ///< Whole blocks announced to the prefix index.
    uint32_t num_known_blocks = 0;  ///< Blocks that the executor's table has.
    uint32_t num_cached = 0;        ///< Prompt tokens found in the prefix index.
    uint32_t in_flight = 0;         ///< Rows of the oldest step in flight, without drafts.
    bool ahead = false;             ///< It has a row in the step after that one.
    uint32_t num_drafts = 0;        ///< Drafts of the step in flight.
    std::optional<prompt_lookup> lookup;  ///< Once it decodes, where there is speculation.

    /// An answer is open that names it: it can neither go nor go back yet.
    bool is_busy() const { return state == phase::reserving || in_flight > 0; }
    /// Nothing that steps bring counts for it any more.
    bool is_leaving() const { return cancelled || over || go_back_to; }
    bool decoding() const { return num_computed + 1 == tokens.size(); }
    uint32_t num_generated() const {
      return static_cast<uint32_t>(tokens.size()) - spec->num_prompt;
    }
  };
  using sequence_map = std::map<queue_place, sequence>;  // iteration is queue order

  /// A step in flight.
  struct flight {
    uint64_t step;
    uint32_t decode_rows, prefill_rows;
    bool has_drafts;
  };

  result<void> resume(sequence& s, const sequence_spec& spec);
  std::optional<step_plan> plan_next();
  std::optional<step_plan> plan_ahead();
  std::vector<sequence*> those_ahead();
  bool goes_ahead(const sequence& s) const;
  void send_off(step_plan& plan, uint32_t decode_rows, uint32_t prefill_rows, bool has_drafts);
  void go_back(sequence& s);
  void plan_decodes(step_plan& plan, uint32_t& budget);
  void plan_drafts(step_plan& plan, uint32_t& budget);
  std::vector<draft_bid> bids_of(const std::vector<sequence*>& all, uint32_t max_drafts);
  uint32_t room_for_drafts(const sequence& s) const;
  void plan_prefills(step_plan& plan, uint32_t& budget);
  uint32_t prefill_budget(uint32_t decode_rows, uint32_t budget) const;
  bool ensure_capacity(sequence& s, uint32_t rows);
  void add_entry(step_plan& plan, sequence& s, uint32_t rows);
  void add_entry_ahead(step_plan& plan, sequence& s);
  void take_new_blocks(plan_entry& e, sequence& s);
  static spec_ptr spec_for_executor(const sequence& s);
  void preempt_last();
  void apply_token(const step_token& t);
  void finish(sequence& s);
  void remove(sequence_map::iterator it);
  void seal(sequence& s);
  void give_up_blocks(sequence& s);
  void release(std::vector<block_id> blocks);
  bool shares_running_prefill(const sequence& s) const;
  void admit();
  void request_lease();
  sequence* find(request_id id);

  scheduler_limits limits_;
  sequence_map sequences_;
  std::map<request_id, queue_place> place_of_;
  std::vector<block_id> stock_;     ///< Leased and not yet given to a sequence.
  std::vector<request_id> forget_;  ///< For the executor, with the next plan.
  scheduler_output out_;
  uint64_t next_arrival_ = 0;
  uint64_t step_ = 0;
  std::deque<flight> flights_;  ///< Oldest first, at most two.
  prefill_pace pace_;
  step_cost cost_;
  uint32_t num_running_ = 0;
  uint32_t lease_open_ = 0;         ///< Blocks asked for and not yet answered.
  bool reserving_ = false;          ///< One reservation is open.
  bool admission_blocked_ = false;  ///< Somebody must end before another admission is tried.
  bool short_of_blocks_ = false;    ///< The last lease brought less than asked.
  scheduler_stats stats_;
};

}  // namespace llmos
