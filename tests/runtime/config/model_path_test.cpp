#include "runtime/config/model_path.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/support/temp_dir.hpp"

using namespace llmos;

namespace {

struct fixture {
  test::temp_dir folder;
  node_config config;

  fixture() { config.models.folder = folder.file(""); }
  failure error_of(const std::string& name) const {
    const auto got = find_model_file(config, name);
    return got ? failure{} : got.error();
  }
};

}  // namespace

TEST_SUITE_BEGIN("runtime.config.model_path");

TEST_CASE_FIXTURE(fixture, "a model is found by path, by file and by name") {
  const auto path = folder.write("one.gguf", "x");
  for (const std::string& name : {path, std::string{"one.gguf"}, std::string{"one"}}) {
    CAPTURE(name);
    const auto got = find_model_file(config, name);
    REQUIRE(got.ok());
    CHECK(got->name == "one");
    CHECK(got->bytes == 1);
  }
}

TEST_CASE_FIXTURE(fixture, "an unknown name comes with the known ones") {
  folder.write("one.gguf", "x");
  const auto why = error_of("two");
  CHECK(why.code == ec::not_found);
  CHECK(why.hint == "known: one");
  config.models.folder = folder.file("none");
  CHECK(error_of("two").hint == "tools/get-model fetches the default model");
  CHECK(check_models_folder(config).ok());
}

TEST_CASE_FIXTURE(fixture, "a path that may not be looked at is no missing model") {
  const auto loop = folder.file("loop");
  std::filesystem::create_symlink(loop, loop);
  const auto why = error_of(loop + "/model.gguf");
  CHECK(why.code == ec::io_error);
  CHECK(why.text.find("symbolic links") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a models folder that cannot be read is said") {
  config.models.folder = folder.write("file", "x");
  CHECK(error_of("one").code == ec::io_error);
  const auto why = check_models_folder(config);
  REQUIRE(!why.ok());
  CHECK(why.error().text == config.models.folder + ": Not a directory");
}

TEST_SUITE_END();
