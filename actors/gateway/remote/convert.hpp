#pragma once

#include "actors/messages.hpp"
#include "actors/wire.hpp"
#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/text/tokenizer.hpp"

namespace llmos {

// Between what crosses a process and what rooms say to each other.

/// A request as the kernel takes it. Errors: invalid_argument naming the field: no ticket, messages
/// and prompt, no JSON, an unknown sampling parameter or a value out of its range.
result<request_ptr> to_request(const wire::request& x, const sampling_params& defaults,
                               const std::string& owner);

/// The same of what shall only be told in tokens.
result<request_ptr> to_prompt(const wire::text_of& x, const std::string& owner);

/// Errors: invalid_argument naming the id that the vocabulary does not have.
result<std::string> decode_checked(const tokenizer& vocabulary, std::span<const token_id> ids);

/// Events; ticket and number are given when they are sent.
wire::chunk to_wire(const text_chunk& x);
wire::done to_wire(const generation_done& x);
wire::failed to_wire(const failure& x);
wire::model to_wire(const model_status& x);
wire::process to_wire(const process_info& x);
wire::metrics to_wire(const metrics_snapshot& x);
wire::events to_wire(const event_page& x);
/// The sums over all engines are those of `metrics`.
wire::status to_wire(const node_health& x, const metrics_snapshot& metrics);

/// What an event takes while it waits.
size_t size_bytes(const wire::chunk& x);
size_t size_bytes(const wire::done& x);
size_t size_bytes(const wire::failed& x);

}  // namespace llmos
