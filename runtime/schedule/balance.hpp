#pragma once

#include <cstddef>
#include <span>

namespace llmos {

/// What an engine has to do, as far as choosing among engines of one model goes.
struct engine_load {
  size_t num_users = 0;     ///< Requests that run or wait there.
  double pass_seconds = 0;  ///< How long it reads its weights; 0: not measured.
};

/// The engine that one more request should go to: where all its users have been served a token
/// soonest, the first of equals. Where one is not measured all count as equally fast. REQUIRES:
/// loads is not empty.
size_t least_loaded(std::span<const engine_load> loads);

}  // namespace llmos
