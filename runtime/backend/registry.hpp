#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/backend/backend.hpp"

namespace llmos {

/// A kind of backend: how to make one, and what it would take. Each function gets the number of the
/// device, 0 unless the name said another.
struct backend_kind {
  std::string name;
  std::function<result<std::unique_ptr<backend>>(uint32_t device, std::shared_ptr<const model> m,
                                                 const backend_limits& limits)>
      make;
  std::function<result<backend_memory>(uint32_t device, const model& m,
                                       const backend_limits& limits)>
      memory;
  /// Free bytes of the device's own memory; empty where it uses the host's.
  std::function<result<uint64_t>(uint32_t device)> free_bytes = {};
  /// Bytes a second at which the device reads its memory, measured now. Empty: "auto" never means
  /// this kind.
  std::function<result<double>(uint32_t device)> read_speed = {};
  /// Devices that there are now; empty: one.
  std::function<uint32_t()> num_devices = {};
};

/// The kinds of backend that a name can mean. Thread-safe.
///
/// A name that is not known is looked for as a module, a shared library `llmos-NAME.so` in one of
/// the folders, which adds its kind when it is loaded and stays until the program ends. A file
/// `llmos-NAME.devices` beside it lists files, one a line, any of which shows that a device is
/// there: then "auto" may load it.
class backend_registry {
public:
  /// `module_folders`: in this order, those that do not exist are passed over.
  explicit backend_registry(std::vector<std::string> module_folders);

  /// REQUIRES: no kind has that name yet.
  void add(backend_kind kind);

  struct choice {
    const backend_kind* kind;
    uint32_t device;
  };
  /// What "NAME" or "NAME:DEVICE" means. Errors: invalid_argument (no such kind, naming those
  /// that there are; the device is no number), bad_file (a module that cannot be loaded, or is of
  /// another version).
  result<choice> find(std::string_view name);

  /// Names of the kinds that are there, modules that are not loaded included.
  std::vector<std::string> names() const;

  /// The devices that "auto" may mean. Loads the modules whose devices are there; one that cannot
  /// be loaded is logged and passed over.
  std::vector<choice> automatic();

  /// The read_speed of a device in bytes a second, measured once. Errors: those of the kind.
  result<double> read_speed(const choice& device);

private:
  std::optional<std::string> module_path(const std::string& name) const;
  result<void> load(const std::string& path);

  std::vector<std::string> module_folders_;
  mutable std::recursive_mutex mutex_;  ///< A module adds its kind while it is being loaded.
  std::map<std::string, backend_kind> kinds_;
  std::map<std::pair<std::string, uint32_t>, double> read_speeds_;
};

/// What a module exports, `extern "C"`. It is built with the program's headers and compiler;
/// `llmos_module_version` returns LLMOS_VERSION of then, and a module of another one is refused.
using module_version_function = const char*();
using module_add_function = void(backend_registry&);

/// Adds "cpu" and "reference".
void add_built_in(backend_registry& to);

/// The program's own registry: "cpu", "reference" and the modules of $LLMOS_MODULES, of the
/// program's folder, and of ../lib/llmos beside that.
backend_registry& backends();

}  // namespace llmos
