// Hostile and broken files. Bytes under test are copied into a buffer of exactly their size, so
// that a sanitizer sees every read past the end.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/gguf/file.hpp"
#include "runtime/gguf/inspect.hpp"
#include "runtime/gguf/parse.hpp"
#include "tests/support/allocation_meter.hpp"
#include "tests/support/gguf_writer.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/splitmix64.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace llmos::test;

namespace {

using bytes_t = std::vector<std::byte>;
constexpr auto u64_max = std::numeric_limits<uint64_t>::max();

/// A small file of every kind of entry and several tensors: about 2 KiB.
gguf_writer small_file() {
  gguf_writer out;
  out.alignment(32).add_kv("general.architecture", "llama").add_kv("flag", true);
  out.add_kv("u8", uint8_t{1}).add_kv("i8", int8_t{-1}).add_kv("u16", uint16_t{2});
  out.add_kv("i16", int16_t{-2}).add_kv("u32", 3u).add_kv("i32", -3).add_kv("f32", 0.5f);
  out.add_kv("u64", uint64_t{4}).add_kv("i64", int64_t{-4}).add_kv("f64", 0.25);
  out.add_kv("tokens", std::vector<std::string>{"a", "bc", "", "déf"});
  out.add_kv("types", std::vector<int32_t>{1, 2, 3, 4});
  out.add_kv("bools", std::vector<bool>{true, false, true});
  for (const auto& info : all_tensor_types()) {
    const uint64_t rows = info.block_elems == 256 ? 1 : 2;
    const uint64_t columns = info.block_elems == 1 ? 8 : info.block_elems;
    out.add_tensor("blk." + std::string{info.name}, info.type, {columns, rows},
                   random_blocks(info.type, columns * rows, 1, 0.02f));
  }
  return out;
}

gguf_writer one_tensor(const tensor_lie& lie, size_t data_bytes = 64) {
  return gguf_writer{}.add_tensor("blk.0.w", tensor_type::f32, {4, 4}, bytes_t(data_bytes), lie);
}

tensor_lie lie_dims(std::vector<uint64_t> dims) {
  tensor_lie out;
  out.dims = std::move(dims);
  return out;
}

tensor_lie lie_type(uint32_t type) {
  tensor_lie out;
  out.type = type;
  return out;
}

tensor_lie lie_offset(uint64_t offset) {
  tensor_lie out;
  out.offset = offset;
  return out;
}

tensor_lie lie_n_dims(uint32_t n) {
  tensor_lie out;
  out.n_dims = n;
  return out;
}

tensor_lie lie_name_bytes(uint64_t n) {
  tensor_lie out;
  out.name_bytes = n;
  return out;
}

bytes_t text_bytes(std::string_view text) {
  return byte_sink{}.put_text(text).bytes();
}

/// A file of one entry whose value begins with an array head that may lie.
bytes_t array_file(gguf_type element_type, uint64_t count, const bytes_t& elements = {}) {
  byte_sink payload = gguf_writer::array_head(element_type, count);
  payload.put_bytes(elements);
  return gguf_writer{}.add_kv_payload("arr", gguf_type::array, payload.bytes()).bytes();
}

bytes_t raw_entry(const byte_sink& entry) {
  return gguf_writer{}.add_raw_kv(entry.bytes()).bytes();
}

bytes_t aligned_to(uint64_t alignment) {
  return gguf_writer{}.add_kv("general.alignment", alignment).bytes();
}

bytes_t two_tensors(std::string_view first, std::string_view second, const tensor_lie& lie) {
  return gguf_writer{}
      .add_tensor(first, tensor_type::f32, {16}, bytes_t(64))
      .add_tensor(second, tensor_type::f32, {16}, bytes_t(64), lie)
      .bytes();
}

struct row {
  const char* name;
  bytes_t bytes;
  ec code;
  std::vector<std::string> mentions;  ///< What the text must name.
};

std::vector<row> header_rows() {
  return {
      {"nothing at all", {}, ec::bad_file, {"byte 0 of 0"}},
      {"half a magic", text_bytes("GG"), ec::bad_file, {"magic"}},
      {"a magic alone", text_bytes("GGUF"), ec::bad_file, {"version", "byte 4 of 4"}},
      {"another magic", text_bytes("ABCDEFGHIJKLMNOPQRSTUVWX"), ec::bad_file, {"ABCD"}},
      {"a magic of control characters", text_bytes("\x1b[2JEFGH"), ec::bad_file, {"\\x1b[2J"}},
      {"a ggml file", text_bytes("lmgg0123"), ec::unsupported, {"ggml"}},
      {"a ggjt file", text_bytes("tjgg0123"), ec::unsupported, {"ggjt"}},
      {"a zip archive", text_bytes("PK\x03\x04...."), ec::unsupported, {"zip"}},
      {"a Git LFS pointer",
       text_bytes("version https://git-lfs.github.com/spec/v1\n"),
       ec::unsupported,
       {"Git LFS pointer"}},
      {"a web page", text_bytes("<!DOCTYPE html>"), ec::unsupported, {"web page"}},
      {"a big-endian magic", text_bytes("FUGG0123"), ec::unsupported, {"big-endian"}},
      {"a big-endian version",
       gguf_writer{}.version(0x03000000).bytes(),
       ec::unsupported,
       {"big-endian"}},
      {"version 0", gguf_writer{}.version(0).bytes(), ec::unsupported, {"version 0"}},
      {"version 1", gguf_writer{}.version(1).bytes(), ec::unsupported, {"version 1"}},
      {"version 4", gguf_writer{}.version(4).bytes(), ec::unsupported, {"version 4"}},
      {"no counts", text_bytes(std::string_view{"GGUF\x03\0\0\0", 8}), ec::bad_file, {"header"}},
      {"more entries than are there",
       small_file().lie_kv_count(100).bytes(),
       ec::bad_file,
       {"entry"}},
      {"fewer entries than are there", small_file().lie_kv_count(3).bytes(), ec::bad_file, {}},
      {"2^64 - 1 entries",
       small_file().lie_kv_count(u64_max).bytes(),
       ec::bad_file,
       {"18446744073709551615 metadata entries"}},
      {"2^60 tensors",
       small_file().lie_tensor_count(1ull << 60).bytes(),
       ec::bad_file,
       {"1152921504606846976 tensors"}},
      {"one tensor more than there is",
       one_tensor({}, 64).lie_tensor_count(2).bytes(),
       ec::bad_file,
       {"tensor 1"}},
      {"entries above the limit",
       gguf_writer{}.add_raw_kv(bytes_t(200'000)).lie_kv_count(8193).bytes(),
       ec::unsupported,
       {"8193 metadata entries", "8192"}},
      {"tensors above the limit",
       gguf_writer{}.add_raw_kv(bytes_t(3'000'000)).lie_tensor_count(32769).bytes(),
       ec::unsupported,
       {"32769 tensors", "32768"}},
  };
}

std::vector<row> entry_rows() {
  return {
      {"a key longer than the file",
       raw_entry(byte_sink{}.put<uint64_t>(1'000).put_text("0123456789")),
       ec::bad_file,
       {"key of metadata entry 0"}},
      {"a key of 2^64 - 1 bytes",
       raw_entry(byte_sink{}.put(u64_max).put_text("0123456789")),
       ec::bad_file,
       {"key of metadata entry 0"}},
      {"an empty key",
       raw_entry(byte_sink{}.put_string("").put(4u).put(1u)),
       ec::bad_file,
       {"entry 0", "empty"}},
      {"a key above the format's limit",
       gguf_writer{}.add_kv(std::string(65536, 'k'), 1u).bytes(),
       ec::bad_file,
       {"65536 bytes", "kkkk"}},
      {"a key twice",
       gguf_writer{}.add_kv("a.b", 1u).add_kv("x", 1u).add_kv("a.b", 1u).bytes(),
       ec::bad_file,
       {"key 'a.b'", "twice"}},
      {"an unknown value type",
       raw_entry(byte_sink{}.put_string("a.b").put(13u).put(1u)),
       ec::bad_file,
       {"key 'a.b'", "type 13"}},
      {"a huge value type",
       raw_entry(byte_sink{}.put_string("a.b").put(0xffffffffu).put(1u)),
       ec::bad_file,
       {"key 'a.b'", "4294967295"}},
      {"no value type",
       raw_entry(byte_sink{}.put_string("a.bcdef")),
       ec::bad_file,
       {"type of key 'a.bcdef'"}},
      {"half a scalar",
       raw_entry(byte_sink{}.put_string("a.b").put(10u).put(1u)),
       ec::bad_file,
       {"value of key 'a.b'"}},
      {"a bool of 2",
       gguf_writer{}.add_kv_payload("on", gguf_type::boolean, bytes_t(1, std::byte{2})).bytes(),
       ec::bad_file,
       {"key 'on'", "bool"}},
      {"a string longer than the file",
       raw_entry(byte_sink{}.put_string("a.b").put(8u).put<uint64_t>(4).put_text("abc")),
       ec::bad_file,
       {"value of key 'a.b'"}},
      {"a string of 2^63 bytes",
       raw_entry(byte_sink{}.put_string("a.b").put(8u).put<uint64_t>(1ull << 63).put_text("abc")),
       ec::bad_file,
       {"value of key 'a.b'"}},
      {"a key of control characters and no UTF-8",
       raw_entry(byte_sink{}.put_string("\x1b[2J\xff").put(99u).put(1u)),
       ec::bad_file,
       {"key '\\x1b[2J\\xff'"}},
      {"an array without a count",
       raw_entry(byte_sink{}.put_string("arr").put(9u).put(4u)),
       ec::bad_file,
       {"count of key 'arr'"}},
      {"an array of an unknown type",
       array_file(static_cast<gguf_type>(55), 1),
       ec::bad_file,
       {"elements of key 'arr'", "55"}},
      {"an array one element too long",
       array_file(gguf_type::u16, 3, bytes_t(5)),
       ec::bad_file,
       {"key 'arr'", "3 elements of type u16", "5 bytes"}},
      {"an array of 2^63 numbers",
       array_file(gguf_type::u64, 1ull << 63),
       ec::bad_file,
       {"key 'arr'", "9223372036854775808"}},
      {"an array whose bytes wrap to 0",
       array_file(gguf_type::f64, 1ull << 61),
       ec::bad_file,
       {"key 'arr'"}},
      {"an array of 2^64 - 1 bytes",
       array_file(gguf_type::u8, u64_max),
       ec::bad_file,
       {"key 'arr'"}},
      {"an array of 2^60 strings",
       array_file(gguf_type::string, 1ull << 60, bytes_t(64)),
       ec::bad_file,
       {"key 'arr'", "type string"}},
      {"one string more than is there",
       array_file(gguf_type::string, 2, bytes_t(15)),
       ec::bad_file,
       {"key 'arr'"}},
      {"a cut string in an array",
       array_file(gguf_type::string, 1, byte_sink{}.put<uint64_t>(9).put_text("12345678").bytes()),
       ec::bad_file,
       {"string 0 of key 'arr'"}},
      {"an array of arrays",
       array_file(gguf_type::array, 1, bytes_t(20)),
       ec::unsupported,
       {"key 'arr'", "array of arrays"}},
      {"an array of a bool of 7",
       array_file(gguf_type::boolean, 1, bytes_t(1, std::byte{7})),
       ec::bad_file,
       {"key 'arr'", "bool"}},
      {"strings in arrays above the limit",
       array_file(gguf_type::string, gguf_array_strings_max + 1,
                  bytes_t((gguf_array_strings_max + 1) * 8)),
       ec::unsupported,
       {"key 'arr'", "2000000"}},
      {"an alignment of 0", aligned_to(0), ec::bad_file, {"general.alignment", "0"}},
      {"an alignment of 4", aligned_to(4), ec::bad_file, {"general.alignment", "4"}},
      {"an alignment of 48", aligned_to(48), ec::bad_file, {"general.alignment", "48"}},
      {"an alignment of 2^63", aligned_to(1ull << 63), ec::bad_file, {"general.alignment"}},
      {"an alignment below zero",
       gguf_writer{}.add_kv("general.alignment", int32_t{-32}).bytes(),
       ec::bad_file,
       {"general.alignment"}},
      {"an alignment of text",
       gguf_writer{}.add_kv("general.alignment", "32").bytes(),
       ec::bad_file,
       {"general.alignment"}},
      {"a part of a split file",
       gguf_writer{}.add_kv("split.count", uint16_t{2}).bytes(),
       ec::unsupported,
       {"split.count", "2 parts"}},
      {"a split count of text",
       gguf_writer{}.add_kv("split.count", "2").bytes(),
       ec::bad_file,
       {"split.count"}},
  };
}

std::vector<row> tensor_rows() {
  const auto q4_k = static_cast<uint32_t>(tensor_type::q4_k);
  return {
      {"a tensor name longer than the file",
       one_tensor(lie_name_bytes(100'000)).bytes(),
       ec::bad_file,
       {"name of tensor 0"}},
      {"a tensor name of 2^64 - 1 bytes",
       one_tensor(lie_name_bytes(u64_max)).bytes(),
       ec::bad_file,
       {"name of tensor 0"}},
      {"an empty tensor name",
       gguf_writer{}.add_tensor("", tensor_type::f32, {1}, bytes_t(4)).bytes(),
       ec::bad_file,
       {"name of tensor 0", "empty"}},
      {"a tensor name above the format's limit",
       gguf_writer{}.add_tensor(std::string(65, 'n'), tensor_type::f32, {1}, bytes_t(4)).bytes(),
       ec::bad_file,
       {"tensor 0", "65 bytes", "nnnn"}},
      {"a tensor name twice",
       two_tensors("blk.0.w", "blk.0.w", {}),
       ec::bad_file,
       {"tensor 'blk.0.w'", "twice"}},
      {"no dimensions",
       one_tensor(lie_n_dims(0)).bytes(),
       ec::bad_file,
       {"tensor 'blk.0.w'", "0 dimensions"}},
      {"five dimensions",
       one_tensor(lie_dims({1, 1, 1, 1, 1})).bytes(),
       ec::bad_file,
       {"tensor 'blk.0.w'", "5 dimensions"}},
      {"2^32 - 1 dimensions",
       one_tensor(lie_n_dims(0xffffffff)).bytes(),
       ec::bad_file,
       {"tensor 'blk.0.w'", "4294967295"}},
      {"more dimensions than are written",
       one_tensor(lie_n_dims(4)).bytes(),
       ec::bad_file,
       {"tensor 'blk.0.w'"}},
      {"a first dimension of zero",
       one_tensor(lie_dims({0, 4})).bytes(),
       ec::bad_file,
       {"dimension 0", "'blk.0.w'", "zero"}},
      {"a last dimension of zero",
       one_tensor(lie_dims({4, 4, 4, 0})).bytes(),
       ec::bad_file,
       {"dimension 3", "'blk.0.w'", "zero"}},
      {"2^64 elements",
       one_tensor(lie_dims({1ull << 32, 1ull << 32})).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "elements"}},
      {"2^63 elements",
       one_tensor(lie_dims({1ull << 32, 1ull << 31})).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "elements"}},
      {"zero after an overflow",
       one_tensor(lie_dims({u64_max, u64_max, 0})).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "zero"}},
      {"2^64 bytes",
       one_tensor(lie_dims({1ull << 62})).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "bytes"}},
      {"more elements than the file holds",
       one_tensor(lie_dims({4, 5})).bytes(),
       ec::bad_file,
       {"'blk.0.w' of 80 bytes", "64 bytes"}},
      {"a removed type", one_tensor(lie_type(4)).bytes(), ec::unsupported, {"'blk.0.w'", "Q4_2"}},
      {"a type that is not read",
       one_tensor(lie_type(16)).bytes(),
       ec::unsupported,
       {"'blk.0.w'", "IQ2_XXS"}},
      {"an unknown type",
       one_tensor(lie_type(77)).bytes(),
       ec::unsupported,
       {"'blk.0.w'", "type 77"}},
      {"a type of 2^32 - 1",
       one_tensor(lie_type(0xffffffff)).bytes(),
       ec::unsupported,
       {"'blk.0.w'", "4294967295"}},
      {"a larger type than the data",
       one_tensor(lie_type(8)).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "Q8_0"}},
      {"rows of half a block",
       gguf_writer{}
           .add_tensor("blk.0.w", tensor_type::f32, {128, 2}, bytes_t(144), lie_type(q4_k))
           .bytes(),
       ec::bad_file,
       {"'blk.0.w'", "128", "256", "Q4_K"}},
      {"an offset between alignments",
       one_tensor(lie_offset(4), 128).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "offset 4", "alignment 32"}},
      {"an offset past the end",
       one_tensor(lie_offset(1 << 20)).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "1048576"}},
      {"an offset that wraps",
       one_tensor(lie_offset(u64_max - 31)).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "18446744073709551584"}},
      {"data one byte too short",
       one_tensor({}, 63).bytes(),
       ec::bad_file,
       {"'blk.0.w'", "63 bytes"}},
      {"no data at all", one_tensor({}, 0).bytes(), ec::bad_file, {"'blk.0.w'"}},
      {"two tensors at one place",
       two_tensors("a", "b", lie_offset(0)),
       ec::bad_file,
       {"'a'", "'b'", "overlap"}},
      {"two tensors that share bytes",
       two_tensors("a", "b", lie_offset(32)),
       ec::bad_file,
       {"'a'", "'b'", "overlap"}},
      {"a lying alignment",
       one_tensor({}).add_kv("general.alignment", 4096u).bytes(),
       ec::bad_file,
       {"'blk.0.w'"}},
  };
}

/// Parses a copy of exactly the size of `bytes` and, where that succeeds, uses everything in it.
result<void> use(std::span<const std::byte> bytes) {
  const bytes_t copy{bytes.begin(), bytes.end()};
  LLMOS_TRY(const auto file, gguf_file::parse(copy, "bad.gguf"));
  REQUIRE(describe(*file).size() > 0);
  REQUIRE(describe_json(*file).dump().size() > 0);
  for (const auto& tensor : file->tensors()) {
    std::vector<float> weights(tensor.n_elements());
    dequantize(tensor.type, tensor.data, weights);
  }
  return {};
}

/// A failure of the reader blames the file, names it and says what to do.
void check_failure(const failure& f) {
  CAPTURE(f.text);
  REQUIRE((f.code == ec::bad_file || f.code == ec::unsupported));
  REQUIRE(f.text.rfind("bad.gguf: ", 0) == 0);
  REQUIRE(f.text.size() < 400);
  REQUIRE_FALSE(f.hint.empty());
}

}  // namespace

TEST_SUITE("runtime.gguf.malformed") {
  TEST_CASE("every kind of broken file is an error that names the thing") {
    std::vector<row> rows = header_rows();
    for (auto& r : entry_rows()) rows.push_back(std::move(r));
    for (auto& r : tensor_rows()) rows.push_back(std::move(r));
    CHECK(rows.size() >= 80);
    for (const auto& r : rows) {
      CAPTURE(r.name);
      const auto got = use(r.bytes);
      REQUIRE_FALSE(got.ok());
      check_failure(got.error());
      const auto& text = got.error().text;
      CAPTURE(text);
      CHECK(got.error().code == r.code);
      for (const auto& x : r.mentions) {
        CAPTURE(x);
        CHECK(text.find(x) != std::string::npos);
      }
    }
  }

  TEST_CASE("a file cut at any byte is an error") {
    const auto bytes = small_file().bytes();
    REQUIRE(use(bytes).ok());
    for (size_t n = 0; n < bytes.size(); ++n) {
      CAPTURE(n);
      const auto got = use(std::span{bytes}.first(n));
      REQUIRE_FALSE(got.ok());
      check_failure(got.error());
      REQUIRE(got.error().code == ec::bad_file);
    }
  }

  TEST_CASE("a file with any one bit flipped before the data is an error or a whole file") {
    auto bytes = small_file().bytes();
    const auto table_bytes = [&] {
      const auto file = gguf_file::parse(bytes, "bad.gguf").value();
      return static_cast<size_t>(file->tensors()[0].data - bytes.data());
    }();
    int n_errors = 0;
    for (size_t bit = 0; bit < table_bytes * 8; ++bit) {
      CAPTURE(bit);
      const auto mask = std::byte{1} << (bit % 8);
      bytes[bit / 8] ^= mask;
      if (const auto got = use(bytes); !got.ok()) {
        check_failure(got.error());
        ++n_errors;
      }
      bytes[bit / 8] ^= mask;
    }
    CHECK(n_errors > static_cast<int>(table_bytes));  // most bits carry structure
  }

  TEST_CASE("files with many random changes are errors or whole files") {
    const auto honest = small_file().bytes();
    splitmix64 random{11};
    for (int i = 0; i < scaled(50'000); ++i) {
      CAPTURE(i);
      auto bytes = honest;
      for (uint64_t n = 1 + random.below(8); n > 0; --n) {
        const size_t at = random.below(bytes.size() / 2);
        // Interesting numbers more often than any other.
        constexpr uint64_t numbers[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe};
        bytes[at] = static_cast<std::byte>(random.below(2) == 0 ? numbers[random.below(6)]
                                                                : random.below(256));
      }
      if (const auto got = use(bytes); !got.ok()) check_failure(got.error());
    }
  }

  TEST_CASE("a broken file on disk is refused by its path") {
    const temp_dir dir;
    const auto path = dir.file("cut.gguf");
    one_tensor({}, 63).write(path);
    const auto got = gguf_file::open(path);
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().code == ec::bad_file);
    CHECK(got.error().text.rfind(path + ": tensor 'blk.0.w'", 0) == 0);
  }

  TEST_CASE("counts that lie allocate next to nothing") {
    const std::function<bytes_t()> files[] = {
        [] { return small_file().lie_kv_count(u64_max).bytes(); },
        [] { return small_file().lie_tensor_count(u64_max).bytes(); },
        [] { return small_file().lie_tensor_count(1ull << 32).bytes(); },
        [] { return array_file(gguf_type::string, u64_max, bytes_t(1'000'000)); },
        [] { return array_file(gguf_type::string, 1ull << 61, bytes_t(1'000'000)); },
        [] { return array_file(gguf_type::f32, 1ull << 62, bytes_t(1'000'000)); },
        [] { return array_file(gguf_type::string, 3'000'000, bytes_t(24'000'000)); },
        [] {
          return one_tensor(lie_dims({1ull << 40, 1ull << 20})).bytes();
        },
        [] { return one_tensor(lie_name_bytes(1ull << 40)).bytes(); },
    };
    for (const auto& make : files) {
      const auto bytes = make();
      const allocation_meter meter;
      const bool ok = gguf_file::parse(bytes, "bad.gguf").ok();
      const size_t peak = meter.peak_bytes();
      CHECK_FALSE(ok);
      CHECK(peak < 64 << 10);
    }
  }

  TEST_CASE("a file at every limit stays below 64 MiB, reports included") {
    gguf_writer writer;
    writer.alignment(8);
    writer.add_kv("strings", std::vector<std::string>(gguf_array_strings_max));
    for (uint64_t i = 2; i < gguf_entries_max; ++i) {
      writer.add_kv("key " + std::to_string(i),
                    "a value that is longer than a small string's room");
    }
    for (uint64_t i = 0; i < gguf_tensors_max; ++i) {
      writer.add_tensor(std::to_string(i), tensor_type::f32, {2, 1, 1, 1}, bytes_t(8));
    }
    const auto bytes = writer.bytes();
    const allocation_meter meter;
    const auto file = gguf_file::parse(bytes, "m.gguf");
    CHECK(meter.peak_bytes() < 48 << 20);
    REQUIRE(file.ok());
    CHECK((*file)->tensors().size() == gguf_tensors_max);
    CHECK(describe(**file).size() > gguf_tensors_max * 20);
    CHECK(describe_json(**file).dump().size() > gguf_tensors_max * 20);
    CHECK(meter.peak_bytes() < 64 << 20);
  }
}
