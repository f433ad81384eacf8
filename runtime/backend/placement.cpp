#include "runtime/backend/placement.hpp"

#include <algorithm>

namespace llmos {

namespace {

result<double> pass_seconds_of(const backend_registry::choice& device, const model& m,
                               const backend_limits& limits, backend_registry& from) {
  if (!device.kind->read_speed) {
    return failure{ec::unsupported, device.kind->name + " is not measured", ""};
  }
  LLMOS_TRY(const backend_memory memory, device.kind->memory(device.device, m, limits));
  LLMOS_TRY(const double speed, from.read_speed(device));
  return static_cast<double>(memory.weight_bytes) / speed;
}

std::string name_of(const backend_registry::choice& device) {
  if (!device.kind->num_devices && device.device == 0) return device.kind->name;
  return device.kind->name + ":" + std::to_string(device.device);
}

}  // namespace

std::vector<std::string> backends_listed(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    const size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    out.emplace_back(name);
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

result<std::string> canonical_backend(std::string_view name, backend_registry& from) {
  LLMOS_TRY(const auto device, from.find(name));
  return name_of(device);
}

result<double> pass_seconds(std::string_view name, const model& m, const backend_limits& limits,
                            backend_registry& from) {
  LLMOS_TRY(const auto device, from.find(name));
  return pass_seconds_of(device, m, limits, from);
}

std::vector<std::string> devices_meant(std::string_view name, const model& m,
                                       const backend_limits& limits, backend_registry& from) {
  if (name != "auto") return {std::string(name)};
  const auto devices = from.automatic();
  LLMOS_CHECK(!devices.empty());
  if (devices.size() == 1) return {name_of(devices[0])};
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& device : devices) {
    const auto seconds = pass_seconds_of(device, m, limits, from);
    ranked.emplace_back(seconds ? *seconds : 0, name_of(device));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [seconds, device] : ranked) out.push_back(std::move(device));
  return out;
}

}  // namespace llmos
