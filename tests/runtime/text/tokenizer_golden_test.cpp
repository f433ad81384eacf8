// Ids of other implementations; tools/reference/make_tokenizer_golden.py says what the files hold.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/utf8.hpp"
#include "runtime/text/pre_tokenizer.hpp"
#include "runtime/text/tokenizer.hpp"
#include "runtime/text/vocabulary.hpp"
#include "tests/support/default_model.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

constexpr size_t block = 500;
const std::string folder = "tests/golden/tokenizer/";

std::vector<std::string> read_rows(const std::string& name) {
  std::ifstream in{folder + name, std::ios::binary};
  REQUIRE_MESSAGE(in.good(), "cannot read " << folder << name);
  std::vector<std::string> out;
  for (std::string row; std::getline(in, row);) {
    if (row.empty() || row[0] != '#') out.push_back(row);
  }
  return out;
}

std::string unescape(std::string_view row) {
  std::string out;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] != '\\') {
      out += row[i];
    } else if (row[++i] == '\\') {
      out += '\\';
    } else {
      out += static_cast<char>(std::stoi(std::string{row.substr(i + 1, 2)}, nullptr, 16));
      i += 2;
    }
  }
  return out;
}

const std::vector<std::string>& lines() {
  static const auto all = [] {
    std::ifstream in{folder + "lines.txt", std::ios::binary};
    std::vector<std::string> out;
    for (std::string row; std::getline(in, row);) out.push_back(unescape(row));
    return out;
  }();
  return all;
}

/// 64-bit FNV-1a over little-endian 32-bit numbers.
struct fnv {
  uint64_t state = 0xCBF29CE484222325u;

  void add(token_id id) {
    for (int shift = 0; shift < 32; shift += 8) {
      state = (state ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
    }
  }
  std::string text() const {
    std::ostringstream out;
    out << std::hex << std::setfill('0') << std::setw(16) << state;
    return out.str();
  }
};

std::string streamed(const std::shared_ptr<const tokenizer>& t, const std::vector<token_id>& ids) {
  stream_decoder d{t, true, true};
  std::string out;
  for (const token_id id : ids) out += d.push(id);
  return out + d.flush();
}

/// A line's ids; where they must lead back to the line, they do: where it is well-formed, the
/// vocabulary has all its bytes and, for SentencePiece (`spm`), it has no ▁, which means a space.
std::vector<token_id> ids_of(const std::shared_ptr<const tokenizer>& t, const std::string& line,
                             bool special, bool spm) {
  uint64_t lost = 0;
  encode_options options;
  options.special = special;
  options.lost_bytes = &lost;
  auto ids = t->encode(line, options);
  REQUIRE(ids.ok());
  const bool valid = !first_invalid_utf8(line);
  if (valid && lost == 0 && !(spm && line.find("\u2581") != std::string::npos)) {
    if (t->decode(*ids, true) != line) FAIL("decoding changes the line: " << line);
    if (streamed(t, *ids) != line) FAIL("streaming changes the line: " << line);
  }
  return std::move(ids).value();
}

vocabulary_source source_of(const std::string& path) {
  const auto file = gguf_file::open(path);
  REQUIRE(file.ok());
  auto source = read_vocabulary(**file);
  REQUIRE(source.ok());
  return std::move(source).value();
}

/// Compares blocks of lines with the hashes in `row` (a name, then one hash a block).
void check_blocks(const std::shared_ptr<const tokenizer>& t, const std::string& row, bool special,
                  bool spm) {
  std::istringstream words{row};
  std::string name, want;
  words >> name;
  CAPTURE(name);
  const size_t n = static_cast<size_t>(test::scaled(static_cast<int>(lines().size())));
  for (size_t begin = 0; begin < n; begin += block) {
    words >> want;
    fnv hash;
    for (size_t i = begin; i < std::min(begin + block, lines().size()); ++i) {
      for (const token_id id : ids_of(t, lines()[i], special, spm)) hash.add(id);
      hash.add(-1);
    }
    CAPTURE(begin);
    CHECK(hash.text() == want);
  }
}

}  // namespace

TEST_SUITE("runtime.text.tokenizer.golden") {
  TEST_CASE(
      "the default model's ids are llama.cpp's and the tokenizers package's on 10,000 lines") {
    const auto path = test::default_model_path();
    if (!path) return;
    const auto t = make_tokenizer(source_of(*path));
    REQUIRE(t.ok());
    const auto hashes = read_rows("default_model.txt");
    REQUIRE(lines().size() == 10'000);
    REQUIRE(hashes.size() == lines().size());
    const auto explicit_ids = read_rows("default_model_ids.txt");
    for (size_t i = 0; i < lines().size(); ++i) {
      CAPTURE(i);
      std::ostringstream got;
      for (const bool special : {false, true}) {
        fnv hash;
        std::ostringstream shown;
        for (const token_id id : ids_of(*t, lines()[i], special, false)) {
          hash.add(id);
          shown << id << ' ';
        }
        if (!special && i < explicit_ids.size()) REQUIRE(shown.str() == explicit_ids[i] + " ");
        got << (special ? " " : "") << hash.text();
      }
      REQUIRE(got.str() == hashes[i]);
    }
  }

  TEST_CASE("every pattern splits as llama.cpp does") {
    auto source = source_of(folder + "bpe.gguf");
    std::map<std::string, std::string> rows;
    for (const auto& row : read_rows("patterns.txt")) rows[row.substr(0, row.find(' '))] = row;
    for (const auto name : pre_tokenizer::names()) {
      source.pre = std::string{name};
      REQUIRE_MESSAGE(rows.count(*source.pre) == 1, "no golden for " << *source.pre);
      const auto t = make_tokenizer(source);
      REQUIRE(t.ok());
      check_blocks(*t, rows[*source.pre], false, false);
    }
    CHECK(rows.size() == pre_tokenizer::names().size());
  }

  TEST_CASE("a SentencePiece vocabulary gives llama.cpp's ids") {
    auto source = source_of(folder + "spm.gguf");
    const auto rows = read_rows("spm.txt");
    REQUIRE(rows.size() == 4);
    for (int i = 0; i < 4; ++i) {
      source.add_space_prefix = i < 2;
      const auto t = make_tokenizer(source);
      REQUIRE(t.ok());
      check_blocks(*t, rows[static_cast<size_t>(i)], i % 2 == 0, true);
    }
  }
}
