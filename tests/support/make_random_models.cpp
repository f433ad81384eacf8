#include <cstdio>
#include <filesystem>

#include "tests/support/random_model.hpp"

/// Writes every random model of the tests into a folder, for the scripts that make goldens.
int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_random_models FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const auto& m : llmos::test::random_models()) {
    llmos::test::random_model_file(m.shape).write((folder / (m.name + ".gguf")).string());
    std::printf("%s\n", m.name.c_str());
  }
}
