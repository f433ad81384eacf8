#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/backend/registry.hpp"

namespace llmos {

/// The names in "NAME, NAME", in this order; one empty name for an empty text.
std::vector<std::string> backends_listed(std::string_view text);

/// The one name of the device that `name` means: "cuda:0" for "cuda". Errors: those of
/// backend_registry::find.
result<std::string> canonical_backend(std::string_view name, backend_registry& from = backends());

/// Seconds in which a device reads the model's weights once, as it keeps them, at its measured
/// speed. Errors: those of make_backend and of measuring; unsupported (the kind is not measured).
result<double> pass_seconds(std::string_view name, const model& m, const backend_limits& limits,
                            backend_registry& from = backends());

/// What a configured name may mean for a model, best first: any name itself, "auto" each device by
/// the time in which it would read the model's weights once, as it keeps them, at its measured
/// speed. Nothing is measured where there is one device. A device that cannot tell comes first:
/// what plans with it hears why. REQUIRES: every limit is 1 or more; `from` knows a device for
/// "auto".
std::vector<std::string> devices_meant(std::string_view name, const model& m,
                                       const backend_limits& limits,
                                       backend_registry& from = backends());

/// What `make` (name → a result) gives for the first device that it succeeds with, or its failure
/// for the last one. `passed_over` gets what is to be said of each device before. REQUIRES: devices
/// is not empty.
template <class Make>
auto with_first_of(const std::vector<std::string>& devices, std::string& passed_over, Make make) {
  for (size_t i = 0; i + 1 < devices.size(); ++i) {
    if (auto made = make(devices[i])) {
      return made;
    } else {
      passed_over +=
          (passed_over.empty() ? "" : "; ") + devices[i] + " was passed over: " + made.error().text;
    }
  }
  return make(devices.back());
}

}  // namespace llmos
