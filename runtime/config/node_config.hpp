#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/sampling/params.hpp"

namespace llmos {

/// One node's configuration; `configs/node.yaml` comments every key. Defaults here are the
/// program's defaults.
struct node_config {
  struct {
    std::string default_model =
        "SmolLM2-135M-Instruct.Q4_1";  ///< Name in the models folder, or a path.
    std::string folder;                ///< Empty: LLMOS_MODELS, else ~/.local/share/llmos/models.
  } models;
  struct {
    std::string backend = "auto";  ///< "auto" or a name (backend/registry.hpp)
    uint32_t threads = 0;          ///< Compute threads; 0 = cores this process may use.
    uint32_t context = 0;          ///< Tokens per sequence; 0 = min(model's, 8192).
    uint32_t block_tokens = 16;    ///< Positions per KV block.
    std::string kv_type = "f16";   ///< f16 | q8_0
    uint64_t swap_bytes = 0;       ///< KV blocks of the host for a device's engine.
    uint64_t kv_bytes =
        0;  ///< KV pool; 0 = room for 4 full contexts, at most a quarter of free memory.
    uint32_t step_tokens = 256;        ///< Token budget of one step.
    uint32_t prefill_chunk = 256;      ///< Prefill tokens of one request in one step.
    uint32_t max_stall_ms = 200;       ///< Prefill in a step that others wait for; 0 = no bound.
    uint32_t max_running = 32;         ///< Sequences in a batch.
    uint32_t max_waiting = 16384;      ///< Queued requests before `overloaded`.
    std::string speculation = "auto";  ///< auto | off
  } engine;
  struct {
    uint32_t max_processes = 20000;   ///< Live requests before `overloaded`.
    uint32_t deadline_ms = 600000;    ///< Default deadline of a request.
    uint32_t drain_ms = 30000;        ///< Longest graceful shutdown.
    uint32_t actor_threads = 1;       ///< CAF worker threads (compute threads not counted).
    uint64_t memory_limit_bytes = 0;  ///< What the program may hold; 0 = what is free.
  } kernel;
  sampling_params sampling;  ///< Defaults of requests that say nothing.
  struct {
    std::string level = "warn";  ///< trace debug info warn error off
    std::string file;            ///< Empty: stderr.
    bool content = false;        ///< Prompts and answers may appear at debug level.
  } log;
  struct {
    std::string history;  ///< Empty: ~/.local/state/llmos/history.
    std::string system;   ///< System prompt of a fresh chat; empty: the template's own.
  } shell;
  struct {
    std::string address = "127.0.0.1";
    bool enabled = true;
    uint32_t port = 4747;                           ///< 0 = any that is free.
    std::string identity;                           ///< Empty: ~/.config/llmos/identity.
    std::vector<std::string> clients = {"client"};  ///< Names or "sha256:…".
    std::vector<std::string> operators = {"client"};
    std::string client = "client";  ///< Whose certificate --connect shows.
    uint32_t max_connections = 2048;
    uint32_t handshake_ms = 10000;  ///< From a connection to the id of its node.
    uint32_t heartbeat_ms = 2000;
    uint32_t silence_ms = 10000;         ///< Without a sign of life a connection ends.
    uint32_t window_bytes = 256u << 10;  ///< Unacknowledged events of one connection.
    uint32_t stall_ms = 30000;           ///< A client that reads nothing for so long is cut off.
    uint32_t keep_ms = 60000;            ///< Longest that a stream waits for its client.
  } remote;
  struct {
    bool enabled = true;
    std::string address = "127.0.0.1";
    uint32_t port = 8080;  ///< 0 = any that is free.
    std::string keys;      ///< Empty: api_keys beside the identity.
    bool tls = false;      ///< With the identity's node certificate.
    uint32_t max_connections = 1024;
    uint64_t max_body_bytes = 8u << 20;
    uint32_t max_choices = 128;  ///< Of one request.
    uint32_t read_timeout_ms = 30000;
    uint32_t write_timeout_ms = 30000;
  } http;
};

/// Reads a YAML file over the defaults. Errors: not_found, bad_file with file, line and column for
/// unknown keys, wrong types and values out of range.
result<node_config> load_node_config(const std::string& path);

/// Applies `key=value` ("engine.threads=2"). Errors: invalid_argument naming key, value and the
/// allowed.
result<void> set_config_key(node_config& config, const std::string& assignment);

/// Checks what single keys cannot (max_running <= step_tokens, …).
result<void> validate(const node_config& config);

/// `models.folder` resolved: config, then LLMOS_MODELS, then ~/.local/share/llmos/models.
std::string models_folder(const node_config& config);

}  // namespace llmos
