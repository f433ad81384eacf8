#pragma once

#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/atoms.hpp"

// Who may say what to whom. The flow of one request, top to bottom:
//
//   client ──submit──▶ KERNEL ──spawns──▶ PROCESS ──place──▶ MODELS ──▶ (engine handles)
//   PROCESS ──encode──▶ TOKENIZER          PROCESS ──enqueue──▶ SCHEDULER
//   SCHEDULER ──reserve, lease, seal, release──▶ MEMORY ──reserved, leased──▶ SCHEDULER
//   SCHEDULER ──step──▶ EXECUTOR ──done──▶ SCHEDULER ──token batch──▶ LEDGER ──token──▶ PROCESS
//   PROCESS ──chunk*, then done or failed──▶ client
//
// Rooms get their neighbours' handles only by `wire` from the SUPERVISOR, again after a restart; a
// process begins with those that its KERNEL was wired with.
namespace llmos {

/// Every core actor answers a status request.
using status_actor = caf::typed_actor<
    // One line of text: "waiting=3 running=16 …".
    caf::replies_to<atom::status>::with<std::string>>;

/// CLIENT of one or more generations: a gateway, a service, a test.
using client_actor = caf::typed_actor<
    // New text, in order, without gaps.
    caf::reacts_to<atom::chunk, text_chunk>,
    // Terminal: the generation ended well.
    caf::reacts_to<atom::done, generation_done>,
    // Terminal: it failed; nothing follows.
    caf::reacts_to<atom::failed, request_id, failure>>;

/// Where an engine's new tokens go: one batch per step.
using token_sink_actor = caf::typed_actor<caf::reacts_to<atom::token, token_batch_ptr>>;

/// Those that go on with another configuration.
using configured_actor = caf::typed_actor<caf::reacts_to<atom::update, config_ptr>>;

struct core_wiring;

/// PROCESS. One generation: its mailbox is the thread.
using process_actor = caf::typed_actor<
    // The core rooms of now.
    caf::reacts_to<atom::wire, core_wiring>,
    // A new token of this process, or the end of its sequence.
    caf::reacts_to<atom::token, token_event>,
    // Ends the generation; the client gets `done` with reason cancelled.
    caf::reacts_to<atom::cancel>,
    // Ends the generation; the client gets `failed` with this.
    caf::reacts_to<atom::failed, failure>>::extend_with<status_actor>;

/// One live process.
struct process_handle {
  request_id id;
  process_actor process;
};

/// What an executor needs to know of its scheduler.
using step_listener_actor = caf::typed_actor<caf::reacts_to<atom::done, step_result_ptr>>;

/// TRANSFER. Moves KV blocks between a device and the host while its executor computes. Detached.
using transfer_actor = caf::typed_actor<
    // Answers when all have been moved, in this order. Errors: engine_failed.
    caf::replies_to<atom::move, std::vector<block_move>>::with<caf::ok_atom>>;

/// What an executor's device turned out to be.
struct device_report {
  std::string numerics;     ///< As backend_info has it.
  bool runs_ahead = false;  ///< A step may begin before the tokens of the one before are read.
  transfer_actor mover;     ///< Where there are blocks of the host.
};

/// EXECUTOR. Owns one device: backend, KV memory, sampling. Detached.
using executor_actor = caf::typed_actor<
    // Makes the backend on its own thread. Errors: out_of_memory, unsupported, not_found.
    caf::replies_to<atom::load>::with<device_report>,
    // Whom to tell of finished steps.
    caf::reacts_to<atom::wire, step_listener_actor>,
    // Runs one step and tells the listener `done`; begins it beside the one before where the device
    // can.
    caf::reacts_to<atom::step, step_plan_ptr>>::extend_with<status_actor>;

/// What the memory manager needs to know of its scheduler.
using memory_listener_actor =
    caf::typed_actor<caf::reacts_to<atom::reserved, reserve_reply>,
                     // Leased block ids; fewer than asked when memory is short.
                     caf::reacts_to<atom::leased, std::vector<block_id>>>;

/// What a memory manager tells the monitor, whenever blocks changed hands.
using memory_observer_actor = caf::typed_actor<caf::reacts_to<atom::update, memory_report>>;

struct memory_wiring;

/// MEMORY. Every KV block of one engine: references, prefix index, eviction.
using memory_actor =
    caf::typed_actor<caf::reacts_to<atom::wire, memory_wiring>,
                     // Blocks for a whole sequence, its cached prefix first. Answer: reserved.
                     caf::reacts_to<atom::reserve, reserve_request>,
                     // Up to n blocks ahead of need. Answer: leased.
                     caf::reacts_to<atom::lease, uint32_t>,
                     // Drops one reference from each block.
                     caf::reacts_to<atom::release, std::vector<block_id>>,
                     // These blocks now hold these tokens.
                     caf::reacts_to<atom::seal, seal_notice>,
                     // Counters of blocks and prefix hits.
                     caf::replies_to<atom::stats>::with<kv_stats>>::extend_with<status_actor>;

/// A memory manager's neighbours.
struct memory_wiring {
  memory_listener_actor listener;
  memory_observer_actor monitor;
  transfer_actor mover;  ///< Where there are blocks of the host.
};

/// What a scheduler tells the monitor.
using step_observer_actor = caf::typed_actor<
    // Once per step.
    caf::reacts_to<atom::step, step_report>,
    // What it has to do became less or more, and no step is under way that would report it.
    caf::reacts_to<atom::update, load_report>>;

struct scheduler_wiring;

/// SCHEDULER. Decides which sequences run next; owns no memory and no device.
using scheduler_actor = caf::typed_actor<
    caf::reacts_to<atom::wire, scheduler_wiring>,
    // Queues a sequence; one that is here already goes on from the spec's tokens, in its place.
    // Errors: over_context, out_of_memory, overloaded, invalid_argument.
    caf::replies_to<atom::enqueue, spec_ptr>::with<caf::ok_atom>,
    // Drops a sequence; unknown ids are ignored.
    caf::reacts_to<atom::cancel, request_id>, caf::replies_to<atom::stats>::with<scheduler_stats>>::
    extend_with<step_listener_actor>::extend_with<memory_listener_actor>::extend_with<status_actor>;

/// TOKENIZER. Chat templates and text → ids of one model. Detached.
using tokenizer_actor = caf::typed_actor<
    // Renders messages through the template (or takes the raw prompt) and encodes it.
    // Errors: invalid_argument (no template, the template refuses, empty), over_limit.
    caf::replies_to<atom::encode, request_ptr>::with<encoded_ptr>>::extend_with<status_actor>;

/// An engine as its users see it.
struct engine_handles {
  engine_id id;
  std::string model;  ///< Name for people.
  tokenizer_actor tokenizer;
  scheduler_actor scheduler;
  loaded_model_ptr loaded;
  uint32_t context = 0;     ///< Tokens of one sequence, prompt and answer.
  backend_memory memory;    ///< What it was planned to hold.
  bool on_device = false;   ///< In a device's own memory, not the host's.
  double pass_seconds = 0;  ///< As its plan has it.
};

/// A scheduler's neighbours.
struct scheduler_wiring {
  memory_actor memory;
  executor_actor executor;
  token_sink_actor sink;
  step_observer_actor monitor;
};

/// MONITOR. Counters, gauges, latency histograms.
using monitor_actor = caf::typed_actor<
    // A generation ended, however.
    caf::reacts_to<atom::done, generation_report>,
    // The kernel took no request: the name of the error code.
    caf::reacts_to<atom::failed, std::string>,
    // Something happened to the node.
    caf::reacts_to<atom::happened, node_event>,
    // An engine ended: nothing of it waits, runs or is in memory.
    caf::reacts_to<atom::ended, engine_label>,
    // All metrics of this moment.
    caf::replies_to<atom::stats>::with<metrics_ptr>,
    // What happened behind a position; waits so many ms for something.
    caf::replies_to<atom::watch, log_position, uint32_t>::with<event_page>,
    // Its own alarm, while somebody waits.
    caf::reacts_to<atom::tick>>::extend_with<step_observer_actor>::
    extend_with<memory_observer_actor>::extend_with<status_actor>;

/// SUPERVISOR. Spawns, wires and restarts the rooms; see supervisor.hpp for the tree.
/// This is the face that MODELS sees.
using engine_host_actor = caf::typed_actor<
    // Starts the rooms of the engine of that file and the plan's device, or gives those that run.
    // Errors: those of executor load; cancelled (unloaded meanwhile).
    caf::replies_to<atom::load, std::string, loaded_model_ptr, engine_plan>::with<engine_handles>,
    // Stops all engines of a file; their processes are told `engine_failed` unless they moved.
    caf::replies_to<atom::unload, std::string>::with<caf::ok_atom>>;

/// MODELS. Finds, loads, lists and unloads models; hands out engines.
using models_actor =
    caf::typed_actor<caf::reacts_to<atom::wire, engine_host_actor>,
                     // An engine started, or started again after a failure.
                     caf::reacts_to<atom::started, engine_handles>,
                     // An engine failed for good.
                     caf::reacts_to<atom::failed, engine_id, failure>,
                     // An engine of a model by name or path; loads it when it must. Empty =
                     // default model. Errors: not_found (names the known ones), bad_file,
                     // unsupported, out_of_memory.
                     caf::replies_to<atom::load, std::string>::with<engine_handles>,
                     // The same for a process that will run there, and counts as one of that
                     // engine's until it ends, asks again or MODELS falls: the engine with the
                     // least to do.
                     caf::replies_to<atom::place, std::string>::with<engine_handles>,
                     // Errors: not_found.
                     caf::replies_to<atom::unload, std::string>::with<caf::ok_atom>,
                     caf::replies_to<atom::list>::with<model_list>>::extend_with<configured_actor>::
        extend_with<status_actor>;

struct ledger_entry;

/// LEDGER. The unfinished requests and where their tokens go; outlives the kernel.
using ledger_actor = caf::typed_actor<
    // A process began; or, said by itself, goes on after a ledger fell.
    caf::reacts_to<atom::submit, ledger_entry>,
    // It moved to another state.
    caf::reacts_to<atom::update, process_info>,
    // It ended.
    caf::reacts_to<atom::ended, request_id>, caf::replies_to<atom::ps>::with<process_list>>::
    extend_with<token_sink_actor>::extend_with<status_actor>;

/// One unfinished request.
struct ledger_entry {
  process_info info;  ///< With the tokens and the age it has when the entry is made.
  process_actor process;
  client_actor client;
};

/// The neighbours of a process.
struct core_wiring {
  models_actor models;
  ledger_actor ledger;
  monitor_actor monitor;
};

/// The face of the SUPERVISOR that the kernel sees: it knows every live process, and wires it anew
/// when a core room was replaced.
using process_host_actor = caf::typed_actor<
    // The kernel started this one.
    caf::reacts_to<atom::started, process_handle>>;

struct kernel_wiring;

/// What gateways need to know of a model.
struct model_view {
  std::string model;  ///< Its name.
  loaded_model_ptr loaded;
  uint32_t context = 0;  ///< Tokens of one sequence.
};

/// KERNEL. The syscall interface: what gateways and services may ask of the system.
using kernel_actor = caf::typed_actor<
    caf::reacts_to<atom::wire, kernel_wiring>,
    // Starts a generation; chunks and the terminal message go to the client, who is monitored.
    // Errors: invalid_argument, overloaded, shutting_down.
    caf::replies_to<atom::submit, request_ptr, client_actor>::with<request_id>,
    // Ends a generation. Errors: not_found.
    caf::replies_to<atom::cancel, request_id>::with<caf::ok_atom>,
    caf::replies_to<atom::ps>::with<process_list>,
    // Loads a model; answers when it can generate. Errors: as MODELS load.
    caf::replies_to<atom::load, std::string>::with<model_status>,
    caf::replies_to<atom::open, std::string>::with<model_view>,
    // The prompt of a request as token ids. Errors: those, and as TOKENIZER encode.
    caf::replies_to<atom::encode, request_ptr>::with<encoded_ptr>,
    caf::replies_to<atom::unload, std::string>::with<caf::ok_atom>,
    caf::replies_to<atom::list>::with<model_list>,
    // All metrics of this moment.
    caf::replies_to<atom::stats>::with<metrics_ptr>,
    caf::replies_to<atom::health>::with<node_health>,
    // As MONITOR watch.
    caf::replies_to<atom::watch, log_position, uint32_t>::with<event_page>,
    // Refuses new work from now on; answers when the last process ended. True: cancel them.
    caf::replies_to<atom::drain, bool>::with<caf::ok_atom>>::extend_with<configured_actor>::
    extend_with<status_actor>;

/// The kernel's neighbours.
struct kernel_wiring {
  core_wiring rooms;
  process_host_actor host;
  std::chrono::steady_clock::time_point node_started;
};

/// The supervisor as the boot code sees it.
using supervisor_actor = caf::typed_actor<
    // The kernel of this moment.
    caf::replies_to<atom::kernel>::with<kernel_actor>,
    // As KERNEL drain, and again of every kernel that follows. Errors: shutting_down.
    caf::replies_to<atom::drain, bool>::with<caf::ok_atom>,
    // The device of an engine, by its number, was given back: said by its executor's last owner.
    caf::reacts_to<atom::ended, engine_id, uint64_t>,
    // Stops every room, users before servers; answers when all have ended.
    caf::replies_to<atom::stop>::with<caf::ok_atom>>::extend_with<engine_host_actor>::
    extend_with<process_host_actor>::extend_with<configured_actor>::extend_with<status_actor>;

}  // namespace llmos

CAF_BEGIN_TYPE_ID_BLOCK(llmos_actors, caf::id_block::llmos::end)
CAF_ADD_TYPE_ID(llmos_actors, (llmos::client_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::process_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::step_listener_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::memory_listener_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::engine_host_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::kernel_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::scheduler_wiring))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::memory_wiring))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::memory_observer_actor))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::process_handle))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::core_wiring))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::kernel_wiring))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::engine_handles))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::device_report))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::ledger_entry))
CAF_ADD_TYPE_ID(llmos_actors, (llmos::model_view))
CAF_END_TYPE_ID_BLOCK(llmos_actors)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::scheduler_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::memory_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::core_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::kernel_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::process_handle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::engine_handles)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::device_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::ledger_entry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(llmos::model_view)
