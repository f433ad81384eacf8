#include "runtime/backend/registry.hpp"

#include <dlfcn.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/backend/cpu/cpu_backend.hpp"
#include "runtime/backend/cpu/cpu_count.hpp"
#include "runtime/backend/cpu/read_speed.hpp"
#include "runtime/backend/reference/reference_backend.hpp"

namespace llmos {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "llmos-", suffix = ".so";

/// The name of the kind that a file holds; nothing when it is no module.
std::optional<std::string> name_of_module(const std::string& file) {
  if (file.size() <= prefix.size() + suffix.size() || !file.starts_with(prefix) ||
      !file.ends_with(suffix)) {
    return std::nullopt;
  }
  return file.substr(prefix.size(), file.size() - prefix.size() - suffix.size());
}

bool is_plain(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), allowed);
}

/// Whether one of the files is there that the module's list of devices names.
bool has_device(const std::string& module_path) {
  std::ifstream list(fs::path(module_path).replace_extension(".devices"));
  std::error_code none;
  for (std::string line; std::getline(list, line);) {
    if (!line.empty() && fs::exists(line, none)) return true;
  }
  return false;
}

failure broken_module(const std::string& path, const std::string& why) {
  return {ec::bad_file, path + ": " + why, "build the module again, with this version of llmos"};
}

std::vector<std::string> default_module_folders() {
  std::vector<std::string> out;
  if (const char* own = std::getenv("LLMOS_MODULES"); own != nullptr && *own != '\0') {
    out.emplace_back(own);
  }
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  if (program.empty()) return out;
  out.push_back(program.parent_path().string());
  out.push_back((program.parent_path().parent_path() / "lib" / "llmos").string());
  return out;
}

}  // namespace

backend_registry::backend_registry(std::vector<std::string> module_folders)
    : module_folders_(std::move(module_folders)) {}

void backend_registry::add(backend_kind kind) {
  const std::lock_guard lock(mutex_);
  LLMOS_CHECK(!kinds_.contains(kind.name));
  std::string name = kind.name;
  kinds_.emplace(std::move(name), std::move(kind));
}

result<backend_registry::choice> backend_registry::find(std::string_view name) {
  const size_t colon = name.find(':');
  const std::string kind(name.substr(0, colon));
  uint32_t device = 0;
  if (colon != std::string_view::npos) {
    const std::string_view number = name.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.begin(), number.end(), device);
    if (error != std::errc{} || end != number.end()) {
      std::string text(name), mend(kind);  // g++ 12 warns of "a" + string + "b" here
      text.append(" names no device");
      mend.append(":0 is the first one");
      return failure{ec::invalid_argument, text, mend};
    }
  }
  const std::lock_guard lock(mutex_);
  if (!kinds_.contains(kind)) {
    if (const auto path = module_path(kind)) LLMOS_TRY_VOID(load(*path));
  }
  if (const auto it = kinds_.find(kind); it != kinds_.end()) return choice{&it->second, device};
  std::string known = "set engine.backend to auto";
  for (const std::string& x : names()) known += ", " + x;
  if (kind == "cuda") known += "; cuda comes with builds that found the CUDA toolkit";
  return failure{ec::invalid_argument, "no backend is called '" + kind + "'", known};
}

std::vector<std::string> backend_registry::names() const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> out;
  for (const auto& [name, kind] : kinds_) out.insert(name);
  for (const std::string& folder : module_folders_) {
    std::error_code none;  // a folder that is not there has no modules
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      const auto name = name_of_module(entry.path().filename().string());
      if (name && is_plain(*name)) out.insert(*name);
    }
  }
  return {out.begin(), out.end()};
}

std::optional<std::string> backend_registry::module_path(const std::string& name) const {
  if (!is_plain(name)) return std::nullopt;
  for (const std::string& folder : module_folders_) {
    const fs::path path = fs::path(folder) / (std::string(prefix) + name + std::string(suffix));
    std::error_code none;
    if (fs::exists(path, none)) return path.string();
  }
  return std::nullopt;
}

std::vector<backend_registry::choice> backend_registry::automatic() {
  const std::lock_guard lock(mutex_);
  for (const std::string& name : names()) {
    if (kinds_.contains(name)) continue;
    const auto path = module_path(name);
    if (!path || !has_device(*path)) continue;
    if (const auto loaded = load(*path); !loaded) spdlog::warn("{}", to_string(loaded.error()));
  }
  std::vector<choice> out;
  for (const auto& [name, kind] : kinds_) {
    if (!kind.read_speed) continue;
    const uint32_t n = kind.num_devices ? kind.num_devices() : 1;
    for (uint32_t device = 0; device < n; ++device) out.push_back({&kind, device});
  }
  return out;
}

result<double> backend_registry::read_speed(const choice& device) {
  const std::lock_guard lock(mutex_);
  const auto key = std::pair(device.kind->name, device.device);
  if (const auto it = read_speeds_.find(key); it != read_speeds_.end()) return it->second;
  LLMOS_TRY(const double measured, device.kind->read_speed(device.device));
  read_speeds_.emplace(key, measured);
  return measured;
}

/// The library stays open: what it added may be used until the program ends.
result<void> backend_registry::load(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return broken_module(path, ::dlerror());
  const auto version =
      reinterpret_cast<module_version_function*>(::dlsym(library, "llmos_module_version"));
  const auto add = reinterpret_cast<module_add_function*>(::dlsym(library, "llmos_module_add"));
  if (version == nullptr || add == nullptr) {
    return broken_module(path, "it exports no llmos_module_version and llmos_module_add");
  }
  if (std::string_view(version()) != LLMOS_VERSION) {
    return broken_module(
        path, std::string("it is of version ") + version() + ", this is " + LLMOS_VERSION);
  }
  add(*this);
  return {};
}

void add_built_in(backend_registry& to) {
  to.add({"cpu",
          [](uint32_t, std::shared_ptr<const model> m, const backend_limits& limits) {
            return make_cpu_backend(std::move(m), limits);
          },
          [](uint32_t, const model& m, const backend_limits& limits) {
            return memory_of_cpu_backend(m, limits);
          },
          {},
          [](uint32_t) { return result<double>(cpu::read_speed(cpu::usable_cpus())); }});
  to.add({"reference",
          [](uint32_t, std::shared_ptr<const model> m, const backend_limits& limits) {
            return make_reference_backend(std::move(m), limits);
          },
          [](uint32_t, const model& m, const backend_limits& limits) {
            return memory_of_reference_backend(m, limits);
          }});
}

backend_registry& backends() {
  static backend_registry& registry = []() -> backend_registry& {
    static backend_registry own(default_module_folders());
    add_built_in(own);
    return own;
  }();
  return registry;
}

}  // namespace llmos
