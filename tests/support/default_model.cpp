#include "tests/support/default_model.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "tests/support/skip.hpp"

namespace llmos::test {

namespace {

std::string expected_path() {
  if (const char* file = std::getenv("LLMOS_TEST_MODEL")) return file;
  constexpr const char* name = "/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (const char* folder = std::getenv("LLMOS_MODELS")) return std::string(folder) + name;
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.local/share/llmos/models" + name;
}

template <class T>
T must(result<T> x) {
  if (!x.ok()) std::fprintf(stderr, "%s\n", to_string(x.error()).c_str());
  return std::move(x).value();
}

}  // namespace

std::optional<std::string> default_model_path() {
  const std::string path = expected_path();
  if (std::filesystem::exists(path)) return path;
  skip(path == "none" ? "this run leaves the default model out"
                      : "no default model at " + path + " (tools/get-model fetches it)");
  return std::nullopt;
}

std::shared_ptr<const model> default_model() {
  static std::shared_ptr<const model> loaded;
  if (loaded != nullptr) return loaded;
  const auto path = default_model_path();
  if (!path) return nullptr;
  const auto file = must(gguf_file::open(*path));
  LLMOS_CHECK(file->file_bytes() == 98362432);  // the goldens are of this file
  return loaded = must(load_model(file));
}

}  // namespace llmos::test
