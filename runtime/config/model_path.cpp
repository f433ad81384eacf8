#include "runtime/config/model_path.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace fs = std::filesystem;

namespace {

constexpr const char* extension = ".gguf";
constexpr size_t max_shown_bytes = 4096;  // a path's most: names are escaped, not cut

bool is_file(const fs::path& p) {
  std::error_code error;
  return fs::is_regular_file(p, error);
}

model_file describe(const fs::path& p) {
  std::error_code error;
  const auto real = fs::canonical(p, error);
  const auto& path = error ? p : real;
  const auto bytes = fs::file_size(path, error);
  const auto name = p.filename().string();
  const bool suffixed = name.ends_with(extension);
  return {suffixed ? name.substr(0, name.size() - 5) : name, path.string(), error ? 0 : bytes};
}

/// The operating system does not let us look at the path, which is more than that nothing is there.
result<void> check(const fs::path& p, const std::error_code& error) {
  if (!error || error == std::errc::no_such_file_or_directory) return {};
  return failure{ec::io_error, printable(p.string(), max_shown_bytes) + ": " + error.message(),
                 "make it readable, or name another place (models.folder, LLMOS_MODELS)"};
}

result<void> check_file(const fs::path& p) {
  std::error_code error;
  return fs::exists(fs::status(p, error)) ? result<void>{} : check(p, error);
}

failure unknown_model(const node_config& config, const std::string& name) {
  std::string known;
  for (const auto& m : list_model_files(config)) {
    known += (known.empty() ? "" : ", ") + printable(m.name, max_shown_bytes);
  }
  return {ec::not_found,
          "no model '" + printable(name, max_shown_bytes) + "' (neither a file nor in " +
              printable(models_folder(config), max_shown_bytes) + ")",
          known.empty() ? "tools/get-model fetches the default model" : "known: " + known};
}

}  // namespace

result<void> check_models_folder(const node_config& config) {
  const fs::path folder = models_folder(config);
  std::error_code error;
  const fs::directory_iterator look{folder, error};
  return check(folder, error);
}

std::vector<model_file> list_model_files(const node_config& config) {
  std::vector<model_file> out;
  std::error_code error;
  for (fs::directory_iterator it{models_folder(config), error}, end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == extension && is_file(it->path())) {
      out.push_back(describe(it->path()));
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

result<model_file> find_model_file(const node_config& config, const std::string& name) {
  const auto& wanted = name.empty() ? config.models.default_model : name;
  if (is_file(wanted)) return describe(wanted);
  const auto in_folder = fs::path{models_folder(config)} / wanted;
  if (wanted.find('/') == std::string::npos) {
    if (is_file(in_folder)) return describe(in_folder);
    if (is_file(in_folder.string() + extension)) return describe(in_folder.string() + extension);
  }
  LLMOS_TRY_VOID(check_file(wanted));
  LLMOS_TRY_VOID(check_models_folder(config));
  return unknown_model(config, wanted);
}

result<void> check_model_name(const std::string& name) {
  if (name.find('/') == std::string::npos && !name.starts_with('.')) return {};
  return failure{ec::not_found, "no model \"" + printable(name, 200) + "\"",
                 "name one of the models that are listed"};
}

}  // namespace llmos
