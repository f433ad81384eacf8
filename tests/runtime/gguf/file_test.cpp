#include "runtime/gguf/file.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "tests/support/gguf_writer.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace llmos::test;

namespace {

/// A parsed file and the bytes that it looks into.
struct parsed {
  std::vector<std::byte> bytes;
  std::shared_ptr<const gguf_file> file;

  explicit parsed(const gguf_writer& writer)
      : bytes{writer.bytes()}, file{gguf_file::parse(bytes, "m.gguf").value()} {}
  const gguf_file* operator->() const { return file.get(); }
};

}  // namespace

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

  TEST_CASE("forgotten bytes are read again, and those that are no file's stay") {
    const auto mapped = gguf_file::open("tests/golden/dequant.gguf").value();
    std::ifstream in{"tests/golden/dequant.gguf", std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    const auto in_memory = gguf_file::parse({begin, text.size()}, "copy").value();
    for (const auto& file : {mapped, in_memory}) {
      const tensor_info &first = file->tensors().front(), &last = file->tensors().back();
      file->forget({first.data, last.data + last.n_bytes});
      file->forget({begin, text.size()});
      file->forget({});
      for (const tensor_info& t : file->tensors()) {
        CAPTURE(t.name);
        const tensor_info& same = *in_memory->find_tensor(t.name);
        CHECK(std::memcmp(t.data, same.data, t.n_bytes) == 0);
      }
    }
    CHECK(std::string_view{text}.starts_with("GGUF"));
  }

  TEST_CASE("a missing file, a directory, a device and an empty file name their path") {
    const temp_dir dir;
    const auto empty = dir.file("empty.gguf");
    std::ofstream{empty}.flush();
    struct row {
      std::string path;
      ec want;
    };
    const row table[] = {
        {"/no/such/file.gguf", ec::not_found},
        {"tests/golden/dequant.gguf/x", ec::not_found},
        {"", ec::not_found},
        {"/", ec::io_error},
        {"/dev/null", ec::io_error},
        {empty, ec::bad_file},
    };
    for (const auto& r : table) {
      CAPTURE(r.path);
      const auto file = gguf_file::open(r.path);
      REQUIRE_FALSE(file.ok());
      CHECK(file.error().code == r.want);
      CHECK(file.error().text.rfind(r.path + ": ", 0) == 0);
      CHECK_FALSE(file.error().hint.empty());
    }
  }

  TEST_CASE("an opened file outlives its name on the disk") {
    const temp_dir dir;
    const auto path = dir.file("m.gguf");
    gguf_writer{}.add_kv("a", "text").write(path);
    const auto file = gguf_file::open(path).value();
    std::filesystem::remove(path);
    CHECK(file->get_string("a").value() == "text");
  }

  TEST_CASE("scalars of every type are widened without loss") {
    const parsed file{gguf_writer{}
                          .add_kv("u8", uint8_t{255})
                          .add_kv("i8", int8_t{-128})
                          .add_kv("u16", uint16_t{65535})
                          .add_kv("i16", int16_t{-32768})
                          .add_kv("u32", uint32_t{4294967295u})
                          .add_kv("i32", std::numeric_limits<int32_t>::min())
                          .add_kv("u64", std::numeric_limits<uint64_t>::max())
                          .add_kv("i64", std::numeric_limits<int64_t>::min())
                          .add_kv("f32", 0.1f)
                          .add_kv("f64", 0.1)
                          .add_kv("yes", true)
                          .add_kv("no", false)
                          .add_kv("text", "naïve \xff")
                          .add_kv("empty", "")};
    CHECK(file->get_uint("u8").value() == 255);
    CHECK(std::get<int64_t>(file->find("i8")->value) == -128);
    CHECK(file->get_uint("u16").value() == 65535);
    CHECK(std::get<int64_t>(file->find("i16")->value) == -32768);
    CHECK(file->get_uint("u32").value() == 4294967295u);
    CHECK(std::get<int64_t>(file->find("i32")->value) == std::numeric_limits<int32_t>::min());
    CHECK(file->get_uint("u64").value() == std::numeric_limits<uint64_t>::max());
    CHECK(std::get<int64_t>(file->find("i64")->value) == std::numeric_limits<int64_t>::min());
    CHECK(file->get_float("f32").value() == static_cast<double>(0.1f));
    CHECK(file->get_float("f64").value() == 0.1);
    CHECK(file->get_bool("yes").value());
    CHECK_FALSE(file->get_bool("no").value());
    CHECK(file->get_string("text").value() == "naïve \xff");
    CHECK(file->get_string("empty").value().empty());
  }

  TEST_CASE("arrays keep their type, count and raw bytes") {
    const parsed file{gguf_writer{}
                          .add_kv("ints", std::vector<int32_t>{1, -2, 3})
                          .add_kv("bools", std::vector<bool>{true, false})
                          .add_kv("none", std::vector<float>{})
                          .add_kv("words", std::vector<std::string>{"a", "", "long word"})};
    const auto* ints = file->get_array("ints", gguf_type::i32).value();
    CHECK(ints->count == 3);
    int32_t second = 0;
    std::memcpy(&second, &ints->bytes[4], sizeof second);
    CHECK(second == -2);
    CHECK(file->get_array("bools", gguf_type::boolean).value()->bytes[0] == std::byte{1});
    CHECK(file->get_array("none", gguf_type::f32).value()->count == 0);
    const auto* words = file->get_array("words", gguf_type::string).value();
    CHECK(words->strings == std::vector<std::string_view>{"a", "", "long word"});
  }

  TEST_CASE("typed access tells a missing key from one of another type") {
    const parsed file{gguf_writer{}
                          .add_kv("negative", int32_t{-1})
                          .add_kv("positive", int8_t{5})
                          .add_kv("float", 1.5f)
                          .add_kv("text", "x")
                          .add_kv("ints", std::vector<int32_t>{1})};
    CHECK(file->get_uint("positive").value() == 5);
    CHECK(file->get_uint("none").error().code == ec::not_found);
    CHECK(file->get_uint("none").error().text == "m.gguf: has no key 'none'");
    CHECK(file->get_uint("negative").error().code == ec::bad_file);
    CHECK(file->get_uint("negative").error().text == "m.gguf: key 'negative' is negative: -1");
    CHECK(file->get_uint("float").error().text ==
          "m.gguf: key 'float' has the type f32, not an unsigned integer");
    CHECK(file->get_float("positive").error().code == ec::bad_file);
    CHECK(file->get_bool("text").error().code == ec::bad_file);
    CHECK(file->get_string("float").error().code == ec::bad_file);
    CHECK(file->get_array("ints", gguf_type::f32).error().text ==
          "m.gguf: key 'ints' has the type array of i32, not array of f32");
    CHECK(file->get_array("text", gguf_type::f32).error().code == ec::bad_file);

    CHECK(file->get_uint_or("none", 7).value() == 7);
    CHECK(file->get_float_or("none", 7.5).value() == 7.5);
    CHECK(file->get_bool_or("none", true).value());
    CHECK(file->get_string_or("none", "d").value() == "d");
    CHECK(file->get_uint_or("text", 7).error().code == ec::bad_file);
    CHECK(file->get_string_or("text", "d").value() == "x");
  }

  TEST_CASE("tensors of every type and alignment lie where the table says") {
    for (const uint32_t alignment : {8u, 32u, 64u, 4096u}) {
      CAPTURE(alignment);
      gguf_writer writer;
      writer.alignment(alignment);
      for (const auto& info : all_tensor_types()) {
        writer.add_tensor(info.name, info.type, {256, 3}, random_blocks(info.type, 768, 1, 1));
      }
      const parsed file{writer};
      CHECK(file->alignment() == alignment);
      REQUIRE(file->tensors().size() == all_tensor_types().size());
      for (const auto& info : all_tensor_types()) {
        CAPTURE(info.name);
        const auto* tensor = file->find_tensor(info.name);
        REQUIRE(tensor != nullptr);
        const auto want = random_blocks(info.type, 768, 1, 1);
        CHECK(tensor->type == info.type);
        CHECK(tensor->n_dims == 2);
        CHECK(tensor->n_elements() == 768);
        CHECK(tensor->n_rows() == 3);
        REQUIRE(tensor->n_bytes == want.size());
        CHECK(std::memcmp(tensor->data, want.data(), want.size()) == 0);
        CHECK(static_cast<uint64_t>(tensor->data - file.bytes.data()) % alignment == 0);
      }
    }
  }

  TEST_CASE("version 2, four dimensions, gaps and a vocabulary without tensors are fine") {
    const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const parsed old{gguf_writer{}.version(2).add_tensor("t", {2, 1, 2, 2}, values)};
    CHECK(old->version() == 2);
    CHECK(old->find_tensor("t")->n_rows() == 4);

    tensor_lie gap;
    gap.offset = 64;
    std::vector<std::byte> data(64 + 4);
    const parsed gapped{gguf_writer{}.add_tensor("t", tensor_type::f32, {1}, data, gap)};
    CHECK(gapped->find_tensor("t")->data == gapped.bytes.data() + gapped.bytes.size() - 4);

    const parsed vocabulary{
        gguf_writer{}.add_kv("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"})};
    CHECK(vocabulary->tensors().empty());
    CHECK(vocabulary->find_tensor("t") == nullptr);
  }

  TEST_CASE("a vocabulary of 256,000 tokens with 500,000 merges is read") {
    std::vector<std::string> tokens;
    for (int i = 0; i < 256'000; ++i) tokens.push_back(std::to_string(i));
    const std::vector<std::string> merges(500'000, "ab cd");
    const parsed file{gguf_writer{}.add_kv("tokens", tokens).add_kv("merges", merges)};
    CHECK(file->get_array("tokens", gguf_type::string).value()->strings.back() == "255999");
    CHECK(file->get_array("merges", gguf_type::string).value()->count == 500'000);
  }

  TEST_CASE("a part of a split file is refused by name, a lone part is not") {
    const auto bytes = gguf_writer{}.add_kv("split.count", uint16_t{3}).bytes();
    const auto part = gguf_file::parse(bytes, "m-00001-of-00003.gguf");
    REQUIRE_FALSE(part.ok());
    CHECK(part.error().code == ec::unsupported);
    CHECK(part.error().text.find("split.count") != std::string::npos);
    CHECK(parsed { gguf_writer{}.add_kv("split.count", uint16_t{1}) } -> entries().size() == 1);
  }
}
