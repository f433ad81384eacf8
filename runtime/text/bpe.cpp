#include "runtime/text/bpe.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/gguf/printable.hpp"
#include "runtime/text/piece_cache.hpp"
#include "runtime/text/unicode.hpp"

namespace llmos {

namespace {

constexpr uint64_t free_pair = std::numeric_limits<uint64_t>::max();
constexpr uint32_t none = std::numeric_limits<uint32_t>::max();

/// Up to this many symbols a scan for the lowest rank beats a heap.
constexpr size_t short_piece = 32;

uint64_t pair_of(uint32_t left, uint32_t right) {
  return static_cast<uint64_t>(left) << 32 | right;
}

constexpr uint32_t first_spare = 0x100;

/// GPT-2's printable character for each byte: itself where it is printable Latin-1, otherwise the
/// next code point from U+0100 on.
constexpr std::array<uint32_t, 256> byte_characters = [] {
  std::array<uint32_t, 256> out{};
  uint32_t spare = first_spare;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
    out[b] = printable ? b : spare++;
  }
  return out;
}();

constexpr uint16_t no_byte = 256;

/// The way back: the byte by character, or no_byte.
constexpr std::array<uint16_t, first_spare + 68> bytes_of_characters = [] {
  std::array<uint16_t, first_spare + 68> out{};
  out.fill(no_byte);
  for (uint16_t b = 0; b < 256; ++b) out[byte_characters[b]] = b;
  return out;
}();

/// The bytes that a byte-level text stands for, or nothing when it is not byte-level.
std::optional<std::string> unmap(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto step = read_utf8(text);
    if (!step.valid || step.code_point >= bytes_of_characters.size()) return std::nullopt;
    const uint16_t byte = bytes_of_characters[step.code_point];
    if (byte == no_byte) return std::nullopt;
    out += static_cast<char>(byte);
    text.remove_prefix(step.length);
  }
  return out;
}

}  // namespace

failure merge_too_long(size_t bytes) {
  return failure{ec::out_of_memory,
                 "a stretch of " + std::to_string(bytes) + " bytes cannot be split into words",
                 "at most " + std::to_string(merged_bytes_max) + " bytes are merged as one"};
}

// --- merge_table --------------------------------------------------------------------------------

merge_table::merge_table(size_t merges) {
  size_t slots = 16;
  while (slots < 2 * (merges + 1)) slots *= 2;
  slots_.assign(slots, slot{free_pair, {no_rank, none}});
}

size_t merge_table::slot_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  const uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
  for (size_t i = (mixed ^ mixed >> 32) & mask;; i = (i + 1) & mask) {
    if (slots_[i].pair == pair || slots_[i].pair == free_pair) return i;
  }
}

void merge_table::add(uint32_t left, uint32_t right, merge m) {
  LLMOS_CHECK(m.rank < no_rank);
  slot& s = slots_[slot_of(pair_of(left, right))];
  if (s.pair == free_pair) s = {pair_of(left, right), m};
}

merge_table::merge merge_table::find(uint32_t left, uint32_t right) const {
  return slots_[slot_of(pair_of(left, right))].value;
}

void merge_table::apply(std::vector<uint32_t>& symbols) const {
  if (symbols.size() <= short_piece) {
    apply_short(symbols);
  } else {
    apply_long(symbols);
  }
}

void merge_table::apply_short(std::vector<uint32_t>& symbols) const {
  std::array<merge, short_piece> pairs;  // pairs[i] merges symbols[i] and symbols[i + 1]
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == no_rank) break;
    symbols[best] = pairs[best].result;
    std::move(symbols.begin() + best + 2, symbols.begin() + n, symbols.begin() + best + 1);
    std::move(pairs.begin() + best + 1, pairs.begin() + n - 1, pairs.begin() + best);
    --n;
    if (best > 0) pairs[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) pairs[best] = find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void merge_table::apply_long(std::vector<uint32_t>& symbols) const {
  // A linked list over the symbols; the heap holds (rank, left end) of every pair that ever had a
  // rank. An entry is stale when the pair that now starts there has another rank: equal rank
  // means the same pair.
  struct link {
    uint32_t previous, next;
  };
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<link> links(n);
  std::vector<uint64_t> initial;
  for (uint32_t i = 0; i < n; ++i) {
    links[i] = {i == 0 ? none : i - 1, i + 1 == n ? none : i + 1};
    if (i + 1 == n) break;
    const auto m = find(symbols[i], symbols[i + 1]);
    if (m.rank != no_rank) initial.push_back(pair_of(m.rank, i));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue{std::greater<>{},
                                                                             std::move(initial)};
  const auto push = [&](uint32_t left) {
    const auto m = find(symbols[left], symbols[links[left].next]);
    if (m.rank != no_rank) queue.push(pair_of(m.rank, left));
  };
  while (!queue.empty()) {
    const auto rank = static_cast<uint32_t>(queue.top() >> 32);
    const auto left = static_cast<uint32_t>(queue.top());
    queue.pop();
    const uint32_t right = links[left].next;
    if (symbols[left] == none || right == none) continue;
    const auto m = find(symbols[left], symbols[right]);
    if (m.rank != rank) continue;
    symbols[left] = m.result;
    symbols[right] = none;  // dead
    links[left].next = links[right].next;
    if (links[left].next != none) {
      links[links[left].next].previous = left;
      push(left);
    }
    if (links[left].previous != none) push(links[left].previous);
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), none), symbols.end());
}

// --- bpe_encoder --------------------------------------------------------------------------------

bpe_encoder::bpe_encoder(const vocabulary& v, size_t merges, pre_tokenizer pieces)
    : pieces_{std::move(pieces)}, n_tokens_{v.size()}, merges_{merges} {}

result<std::unique_ptr<const text_encoder>> bpe_encoder::make(
    const vocabulary& v, const std::vector<std::string>& merges, pre_tokenizer pieces) {
  std::unique_ptr<bpe_encoder> out{new bpe_encoder{v, merges.size(), std::move(pieces)}};
  for (uint32_t b = 0; b < 256; ++b) {
    std::string text;
    append_utf8(byte_characters[b], text);
    out->byte_symbols_[b] = out->symbol_of(v, text);
  }
  LLMOS_TRY_VOID(out->add_merges(v, merges));
  if (out->pieces_.whole_pieces_first()) out->add_words(v);
  return std::unique_ptr<const text_encoder>{std::move(out)};
}

uint32_t bpe_encoder::symbol_of(const vocabulary& v, std::string_view text) {
  if (const auto id = v.texts.find(text)) return *id;
  if (const auto number = symbols_.find(text)) return n_tokens_ + *number;
  symbols_.add(text);
  return n_tokens_ + symbols_.size() - 1;
}

result<void> bpe_encoder::add_merges(const vocabulary& v, const std::vector<std::string>& merges) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string& m = merges[rank];
    const size_t space = m.find(' ', 1);
    if (space == std::string::npos || space + 1 == m.size()) {
      return failure{ec::bad_file,
                     "tokenizer.ggml.merges: entry " + std::to_string(rank) + " '" +
                         printable(m, shown_bytes) + "' is not two parts with a space between",
                     "get another copy of the model file"};
    }
    const std::string_view left = std::string_view{m}.substr(0, space);
    const std::string_view right = std::string_view{m}.substr(space + 1);
    std::string both{left};
    both += right;
    merges_.add(symbol_of(v, left), symbol_of(v, right),
                {static_cast<uint32_t>(rank), symbol_of(v, both)});
  }
  return {};
}

void bpe_encoder::add_words(const vocabulary& v) {
  for (uint32_t i = 0; i < v.size(); ++i) {
    const auto kind = v.kinds[i];
    if (kind == token_kind::control || kind == token_kind::unknown) continue;
    const auto bytes = unmap(v.texts[i]);
    if (!bytes || bytes->empty()) continue;
    words_.add(*bytes);
    word_ids_.push_back(static_cast<token_id>(i));
  }
}

result<void> bpe_encoder::encode(std::string_view text, bool, std::vector<token_id>& out,
                                 uint64_t& lost_bytes) const {
  std::string repaired_storage, subject_storage;
  const std::string_view repaired = repair_utf8(text, repaired_storage);
  const std::string_view subject = pattern_subject(repaired, subject_storage);
  piece_cache seen{repaired, out};
  std::vector<uint32_t> symbols;
  size_t too_long = 0;
  LLMOS_TRY_VOID(pieces_.split(subject, [&](size_t begin, size_t end) {
    if (seen.repeat(begin, end)) return;
    if (end - begin > merged_bytes_max) {
      too_long = end - begin;
      return;
    }
    const size_t first_id = out.size();
    const uint64_t lost_before = lost_bytes;
    encode_piece(repaired.substr(begin, end - begin), symbols, out, lost_bytes);
    if (lost_bytes == lost_before) seen.remember(begin, end, first_id);
  }));
  if (too_long > 0) return merge_too_long(too_long);
  return {};
}

void bpe_encoder::encode_piece(std::string_view piece, std::vector<uint32_t>& symbols,
                               std::vector<token_id>& out, uint64_t& lost_bytes) const {
  if (const auto word = words_.find(piece)) return out.push_back(word_ids_[*word]);
  symbols.clear();
  for (const char c : piece) symbols.push_back(byte_symbols_[static_cast<uint8_t>(c)]);
  merges_.apply(symbols);
  for (const uint32_t s : symbols) append_symbol(s, out, lost_bytes);
}

void bpe_encoder::append_symbol(uint32_t symbol, std::vector<token_id>& out,
                                uint64_t& lost_bytes) const {
  if (symbol < n_tokens_) return out.push_back(static_cast<token_id>(symbol));
  // A symbol of the merges that is no token: its bytes one by one.
  const auto bytes = unmap(symbols_[symbol - n_tokens_]);
  LLMOS_CHECK(bytes.has_value());  // made from byte symbols
  for (const char c : *bytes) {
    const uint32_t s = byte_symbols_[static_cast<uint8_t>(c)];
    if (s < n_tokens_) {
      out.push_back(static_cast<token_id>(s));
    } else {
      ++lost_bytes;
    }
  }
}

std::array<uint8_t, 256> bpe_encoder::byte_weights() const {
  std::array<uint8_t, 256> out{};
  for (size_t b = 0; b < 256; ++b) out[b] = byte_symbols_[b] < n_tokens_ ? 1 : 0;
  return out;
}

std::string bpe_encoder::bytes_of(std::string_view text) const {
  // Added tokens may be plain text.
  auto bytes = unmap(text);
  return bytes ? *std::move(bytes) : std::string{text};
}

}  // namespace llmos
