#include "runtime/config/keys.hpp"

namespace llmos {

namespace {

constexpr double max_u32 = 4294967295.0;
constexpr double max_u64 = 18446744073709551615.0;  // 2^64 as a double
constexpr double max_i32 = 2147483647.0;

}  // namespace

// One key per entry reads as the table that it is.
// clang-format off
std::vector<config_key> keys_of(sampling_params& x) {
  return {
      {"temperature", &x.temperature, {0, 100}, "",
       "How freely tokens are drawn: 0 always takes the likeliest, higher is wilder."},
      {"top_k", &x.top_k, {0, max_i32}, "tokens",
       "Keeps the k likeliest tokens; 0 = off."},
      {"top_p", &x.top_p, {.low = 0, .high = 1, .above_low = true}, "",
       "Keeps the smallest set of tokens with this probability in sum; 1 = off."},
      {"min_p", &x.min_p, {0, 1}, "",
       "Keeps tokens at least this probable, relative to the likeliest; 0 = off."},
      {"typical_p", &x.typical_p, {.low = 0, .high = 1, .above_low = true}, "",
       "Keeps the locally typical tokens with this probability in sum; 1 = off."},
      {"repetition_penalty", &x.repetition_penalty, {.low = 0, .high = 10, .above_low = true}, "",
       "Makes tokens seen before less likely by this factor; 1 = off."},
      {"frequency_penalty", &x.frequency_penalty, {-2, 2}, "",
       "Subtracted from a token's logit for each time it was seen; 0 = off."},
      {"presence_penalty", &x.presence_penalty, {-2, 2}, "",
       "Subtracted from a token's logit once when it was seen; 0 = off."},
      {"penalty_window", &x.penalty_window, {-1, max_i32}, "tokens",
       "How far back the three penalties look; -1 = everything, 0 = penalties off."},
      {"logit_bias", &x.logit_bias, {.low = -100, .high = 100, .max_items = 1024}, "",
       "Added to the logits of these tokens: {id: value}."},
      {"seed", &x.seed, {0, max_u64}, "",
       "Makes a generation repeatable; null draws a new seed for each request."},
      {"stop", &x.stop, {.max_items = 16}, "",
       "Texts that end the answer; they are not part of it."},
      {"stop_token_ids", &x.stop_token_ids, {.low = 0, .high = max_i32, .max_items = 64}, "",
       "Token ids that end the answer, beside the model's own end tokens."},
      {"max_tokens", &x.max_tokens, {0, max_i32}, "tokens",
       "Longest answer; 0 only evaluates the prompt.", &x.max_tokens_asked},
      {"min_tokens", &x.min_tokens, {0, max_i32}, "tokens",
       "The model's end tokens are not drawn before this many."},
      {"ignore_eos", &x.ignore_eos, {}, "",
       "The model's end tokens are never drawn."},
      {"logprobs", &x.logprobs, {}, "",
       "Reports the log-probability of each token."},
      {"top_logprobs", &x.top_logprobs, {0, 20}, "tokens",
       "Alternatives reported with each token when logprobs is true."},
  };
}

config_key priority_key(int32_t& x) {
  return {"priority", &x, {-max_i32 - 1, max_i32}, "",
          "Lower goes first; below 0 is for operators."};
}

std::vector<config_key> keys_of(node_config& x) {
  std::vector<config_key> keys = {
      {"models.default_model", &x.models.default_model, {}, "",
       "The model of requests that name none: a name in the models folder, or a path."},
      {"models.folder", &x.models.folder, {}, "",
       "Where models lie. Empty: $LLMOS_MODELS, else ~/.local/share/llmos/models."},

      {"engine.backend", &x.engine.backend, {}, "",
       "What computes: auto (the fastest with room), cpu, cuda, cuda:N, reference, a module's "
       "name; or several with commas between: an engine on each, which share the requests."},
      {"engine.threads", &x.engine.threads, {0, 1024}, "threads",
       "Compute threads; 0 = one per core that this process may use."},
      {"engine.context", &x.engine.context, {0, 16777216}, "tokens",
       "Longest prompt and answer together; 0 = what the model was trained for, at most 8192."},
      {"engine.block_tokens", &x.engine.block_tokens, {16, 256}, "tokens",
       "Positions in a block of KV memory, unit of paging and prefix sharing: a power of two."},
      {"engine.kv_type", &x.engine.kv_type, {.choices = {"f16", "q8_0"}}, "",
       "How K and V are kept. q8_0 takes about half the memory and rounds them to 8 bits."},
      {"engine.kv_bytes", &x.engine.kv_bytes, {0, 1125899906842624.0}, "bytes",
       "KV memory of an engine; 0 = four full contexts, at most a quarter of free memory."},
      {"engine.swap_bytes", &x.engine.swap_bytes, {0, 1125899906842624.0}, "bytes",
       "Memory of the host that keeps what a device's KV memory has no room for; 0 = none."},
      {"engine.step_tokens", &x.engine.step_tokens, {1, 65536}, "tokens",
       "Budget of one step: decoding sequences first, the rest is prefill."},
      {"engine.prefill_chunk", &x.engine.prefill_chunk, {1, 65536}, "tokens",
       "Prompt tokens of one request in one step; smaller keeps other answers flowing."},
      {"engine.max_stall_ms", &x.engine.max_stall_ms, {0, 3600000}, "ms",
       "How long a prompt may hold up other answers at a time; 0 = no bound but the two above."},
      {"engine.max_running", &x.engine.max_running, {1, 4096}, "requests",
       "Requests that generate at the same time; at most engine.step_tokens."},
      {"engine.max_waiting", &x.engine.max_waiting, {1, 1000000}, "requests",
       "Requests that may queue before new ones are refused as overloaded."},
      {"engine.speculation", &x.engine.speculation, {.choices = {"auto", "off"}}, "",
       "auto: verifies guesses from a request's own text where that is faster. Changes no token."},

      {"kernel.max_processes", &x.kernel.max_processes, {1, 1000000}, "requests",
       "Live requests of the whole node before new ones are refused as overloaded."},
      {"kernel.deadline_ms", &x.kernel.deadline_ms, {1, max_u32}, "ms",
       "A request that takes longer fails, unless it brings its own deadline."},
      {"kernel.drain_ms", &x.kernel.drain_ms, {0, max_u32}, "ms",
       "How long a shutdown waits for running requests before it cancels them."},
      {"kernel.actor_threads", &x.kernel.actor_threads, {1, 256}, "threads",
       "Worker threads for actors; compute threads are not counted."},
      {"kernel.memory_limit_bytes", &x.kernel.memory_limit_bytes, {0, 1125899906842624.0}, "bytes",
       "Memory that the whole program may hold, models included; 0 = what is free."},
  };
  for (auto& key : keys_of(x.sampling)) {
    if (key.name == "max_tokens") {
      key.doc = "Longest answer; 0 only evaluates the prompt. "
                "Shrinks to the context, unlike a request's own.";
    }
    key.asked = nullptr;
    key.name.insert(0, "sampling.");
    keys.push_back(std::move(key));
  }
  const std::vector<config_key> rest = {
      {"log.level", &x.log.level,
       {.choices = {"trace", "debug", "info", "warn", "error", "off"}}, "",
       "The least important messages that are still logged."},
      {"log.file", &x.log.file, {}, "",
       "Where log lines go; empty: standard error."},
      {"log.content", &x.log.content, {}, "",
       "Lets prompts and answers appear in log lines (at level debug). Off, they never do."},

      {"shell.history", &x.shell.history, {}, "",
       "Where the shell keeps its input history. Empty: ~/.local/state/llmos/history."},
      {"shell.system", &x.shell.system, {}, "",
       "System prompt of a fresh chat; empty: what the model's chat template brings."},

      {"remote.enabled", &x.remote.enabled, {}, "",
       "Whether services can connect with CAF."},
      {"remote.address", &x.remote.address, {}, "",
       "Where llmos serve listens for services; 0.0.0.0 is everywhere."},
      {"remote.port", &x.remote.port, {0, 65535}, "",
       "The port for services, CAF over TLS 1.3; 0 = any that is free."},
      {"remote.identity", &x.remote.identity, {}, "",
       "Folder of certificates and keys, made by llmos init. Empty: ~/.config/llmos/identity."},
      {"remote.clients", &x.remote.clients, {.max_items = 1024}, "",
       "Who may connect: names that the CA vouches for, or \"sha256:...\" of a certificate."},
      {"remote.operators", &x.remote.operators, {.max_items = 1024}, "",
       "Clients and owners of API keys that may load models, read metrics and see all requests."},
      {"remote.client", &x.remote.client, {}, "",
       "As which client llmos --connect comes to a node: a name of remote.identity."},
      {"remote.max_connections", &x.remote.max_connections, {1, 100000}, "connections",
       "Clients at a time; one more is closed. Who has not said who it is takes no place."},
      {"remote.handshake_ms", &x.remote.handshake_ms, {1, max_u32}, "ms",
       "A connection that has not said who it is by then is closed."},
      {"remote.heartbeat_ms", &x.remote.heartbeat_ms, {10, max_u32}, "ms",
       "How often each side gives a sign of life."},
      {"remote.silence_ms", &x.remote.silence_ms, {10, max_u32}, "ms",
       "A connection without a sign of life for so long is lost."},
      {"remote.window_bytes", &x.remote.window_bytes, {4096, 262144}, "bytes",
       "What is sent to a client before it must acknowledge some of it."},
      {"remote.stall_ms", &x.remote.stall_ms, {1, max_u32}, "ms",
       "A client that acknowledges nothing for so long, while more waits, is cut off."},
      {"remote.keep_ms", &x.remote.keep_ms, {0, max_u32}, "ms",
       "How long a generation waits for a client that lost its connection, at most."},

      {"http.enabled", &x.http.enabled, {}, "",
       "Whether clients of OpenAI's protocol can connect."},
      {"http.address", &x.http.address, {}, "",
       "Where llmos serve listens for HTTP; 0.0.0.0 is everywhere: then set http.tls."},
      {"http.port", &x.http.port, {0, 65535}, "",
       "The port for HTTP; 0 = any that is free."},
      {"http.keys", &x.http.keys, {}, "",
       "File of API keys, as hashes; llmos key adds some. Empty: api_keys in remote.identity."},
      {"http.tls", &x.http.tls, {}, "",
       "HTTPS, with the node's certificate of remote.identity."},
      {"http.max_connections", &x.http.max_connections, {1, 100000}, "connections",
       "Connections at a time; one more is answered 503."},
      {"http.max_body_bytes", &x.http.max_body_bytes, {1024, 1073741824.0}, "bytes",
       "Largest body of a request."},
      {"http.max_choices", &x.http.max_choices, {1, 4096}, "choices",
       "Most prompts times n of one request."},
      {"http.read_timeout_ms", &x.http.read_timeout_ms, {1, max_u32}, "ms",
       "A client that takes longer to send a request is answered 408."},
      {"http.write_timeout_ms", &x.http.write_timeout_ms, {1, max_u32}, "ms",
       "A client that takes nothing of its answer for so long is cut off."},
  };
  keys.insert(keys.end(), rest.begin(), rest.end());
  return keys;
}
// clang-format on

}  // namespace llmos
