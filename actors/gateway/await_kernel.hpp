#pragma once

#include <spdlog/spdlog.h>

#include <chrono>

#include "actors/error.hpp"
#include "actors/protocol.hpp"
#include "actors/timed_request.hpp"

namespace llmos {

/// Asks for the kernel of now, puts it into `kernel` and monitors it. Whoever asks the room `self`
/// something meanwhile waits for it. `kernel` is of the room's state.
template <class Self>
void await_kernel(Self* self, const supervisor_actor& supervisor, kernel_actor& kernel) {
  constexpr std::chrono::seconds answer_timeout{30};
  timed_request(self, supervisor, answer_timeout, atom::kernel_v)
      .await(
          [self, &kernel](const kernel_actor& k) {
            kernel = k;
            self->monitor(k);
          },
          [](const caf::error& e) { spdlog::error("no kernel: {}", to_failure(e).text); });
}

}  // namespace llmos
