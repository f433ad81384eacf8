#include <cstdio>

#include "tests/support/tiny_model.hpp"

/// Writes the tiny model of the tests, for tests that are scripts.
int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_tiny_model FILE.gguf\n");
    return 2;
  }
  llmos::test::write_tiny_model(argv[1]);
}
