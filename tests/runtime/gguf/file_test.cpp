#include "runtime/gguf/file.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.gguf.file") {
  TEST_CASE("a file of another writer is read with its metadata and tensors") {
    const auto file = gguf_file::open("tests/golden/dequant.gguf").value();
    CHECK(file->path() == "tests/golden/dequant.gguf");
    CHECK(file->version() == 3);
    CHECK(file->alignment() == 32);
    CHECK(file->tensors().size() == 30);
    CHECK(file->get_uint("golden.seed").value() == 20240607);
    CHECK(file->get_string("general.architecture").value() == "none");
    CHECK(file->find_tensor("Q4_K")->n_bytes == 4 * 144);
    CHECK(file->find_tensor("no such tensor") == nullptr);
  }

  TEST_CASE("a missing file, a directory and an empty file are errors that name the path") {
    struct row {
      const char* path;
      ec want;
    };
    const row table[] = {
        {"/no/such/file.gguf", ec::not_found},
        {"/", ec::io_error},
        {"/dev/null", ec::io_error},
        {"", ec::not_found},
    };
    for (const auto& r : table) {
      CAPTURE(r.path);
      const auto file = gguf_file::open(r.path);
      REQUIRE_FALSE(file.ok());
      CHECK(file.error().code == r.want);
      CHECK(file.error().text.rfind(r.path, 0) == 0);
    }
  }
}
