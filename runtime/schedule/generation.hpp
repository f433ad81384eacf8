#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/sampling/stop_matcher.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/schedule/sequence.hpp"
#include "runtime/text/tokenizer.hpp"

namespace llmos {

/// What one token event meant for its generation.
struct generation_update {
  enum class kind : uint8_t {
    none,      ///< Nothing to tell (a repeated token, text still incomplete).
    text,      ///< `chunk` goes to the client.
    finished,  ///< `chunk` (if not empty), then the end for `reason`.
    gap,       ///< Tokens were lost: submit again from what was delivered.
  };
  kind what = kind::none;
  text_chunk chunk;
  finish_reason reason = finish_reason::stop;
  bool engine_runs = false;  ///< Finished before the engine knew it: it must be told to stop.
};

/// The state of one running generation: tokens so far, text pending in the decoder and the stop
/// matcher, what the client has been sent. Pure: no clock, no actor.
class generation {
public:
  generation(spec_ptr spec, std::shared_ptr<const tokenizer> vocabulary);

  generation_update accept(const token_event& event);

  /// The spec that continues after everything accepted so far, for another engine.
  spec_ptr continuation() const;

  const std::vector<token_id>& tokens() const { return tokens_; }
  uint32_t num_cached() const { return num_cached_; }
  const std::string& stop_string() const { return stop_string_; }
  const sequence_spec& spec() const { return *spec_; }

private:
  void add_text(generation_update& update, const token_event& event);
  void finish(generation_update& update, finish_reason reason);

  spec_ptr spec_;
  std::vector<token_id> tokens_;  ///< Generated so far.
  stream_decoder decoder_;
  stop_matcher stops_;
  std::string stop_string_;
  uint32_t num_cached_ = 0;
};

}  // namespace llmos
