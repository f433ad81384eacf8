#pragma once

#include <caf/stateful_actor.hpp>
#include <functional>
#include <optional>
#include <string_view>

#include "actors/protocol.hpp"
#include "runtime/jobs/outcome.hpp"

namespace llmos {

/// RUN-CLIENT. Sends one request, hands its text on as it comes, and ends with it.
using run_client_actor = caf::typed_actor<
    // Ends the request; what came so far is the answer.
    caf::reacts_to<atom::cancel>>::extend_with<client_actor>;

struct run_client_args {
  std::function<kernel_actor()> find_kernel;  ///< The kernel of this moment; nullptr: none is left.
  request_ptr request;
  std::function<result<void>(std::string_view)> write;  ///< A failure cancels the request.
  std::function<void(outcome)> finish;                  ///< Called once, at the end.
};

struct run_client_state {
  static inline constexpr const char* name = "run-client";

  explicit run_client_state(run_client_actor::stateful_pointer<run_client_state> self)
      : self(self) {}

  void start(run_client_args a);
  void chunk(const text_chunk& x);
  void done(const generation_done& x);
  void failed(const failure& why);
  void cancel();

  run_client_actor::stateful_pointer<run_client_state> self;

private:
  void finish();

  run_client_args args_;
  std::optional<request_id> id_;
  bool is_cancelled_ = false;
  outcome what_;
};

run_client_actor::behavior_type run_client(
    run_client_actor::stateful_pointer<run_client_state> self, run_client_args args);

}  // namespace llmos
