#include "runtime/text/spm.hpp"

#include <algorithm>
#include <limits>

#include "runtime/text/piece_cache.hpp"

namespace llmos {

namespace {

constexpr std::string_view space_mark = "▁";
constexpr uint32_t none = std::numeric_limits<uint32_t>::max();

/// Bytes of the character that starts with `lead`, judged by its high bits alone.
size_t character_bytes(char lead) {
  const auto b = static_cast<uint8_t>(lead);
  return b < 0xC0 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

std::string escape_spaces(std::string_view text, bool prefix) {
  std::string out;
  out.reserve(text.size() + text.size() / 2 + space_mark.size());
  if (prefix) out += space_mark;
  for (const char c : text) {
    if (c == ' ') {
      out += space_mark;
    } else {
      out += c;
    }
  }
  return out;
}

/// Whether ▁ stands somewhere behind a character that is not ▁.
bool has_inner_mark(std::string_view text) {
  while (text.substr(0, space_mark.size()) == space_mark) text.remove_prefix(space_mark.size());
  return text.find(space_mark) != std::string_view::npos;
}

}  // namespace

/// Buffers that the words of one text share.
struct spm_encoder::workspace {
  struct symbol {
    uint32_t begin, bytes;  // bytes == 0: merged into its left neighbour
    uint32_t previous, next;
  };
  struct pair {
    float score;
    uint32_t left;
    uint32_t bytes;  // of both; another sum means that the entry is stale

    /// Heap order: the highest score first, of equal ones the leftmost.
    friend bool operator<(const pair& a, const pair& b) {
      return a.score != b.score ? a.score < b.score : a.left > b.left;
    }
  };
  std::vector<symbol> symbols;
  std::vector<pair> heap;
};

spm_encoder::spm_encoder(const vocabulary& v, bool adds_space)
    : adds_space_{adds_space}, unknown_{v.unk} {
  for (uint32_t i = 0; i < v.size(); ++i) {
    const auto kind = v.kinds[i];
    const auto text = v.texts[i];
    if (kind == token_kind::control || kind == token_kind::unknown || kind == token_kind::byte ||
        text.empty()) {
      continue;
    }
    texts_.add(text);
    pieces_.push_back({static_cast<token_id>(i), v.scores[i]});
    longest_ = std::max(longest_, text.size());
    if (has_inner_mark(text)) words_stand_alone_ = false;
  }
  for (uint32_t b = 0; b < 256; ++b) {
    bytes_[b] = v.find(byte_token_text(static_cast<uint8_t>(b)));
    if (!bytes_[b]) bytes_[b] = v.find(std::string(1, static_cast<char>(b)));
  }
}

result<void> spm_encoder::encode(std::string_view text, bool starts, std::vector<token_id>& out,
                                 uint64_t& lost_bytes) const {
  const std::string escaped = escape_spaces(text, adds_space_ && starts);
  piece_cache seen{escaped, out};
  workspace w;
  for (size_t begin = 0, end = 0; begin < escaped.size(); begin = end) {
    end = word_end(escaped, begin);
    if (seen.repeat(begin, end)) continue;
    if (end - begin > merged_bytes_max) return merge_too_long(end - begin);
    const size_t first_id = out.size();
    const uint64_t lost_before = lost_bytes;
    encode_word(std::string_view{escaped}.substr(begin, end - begin), w, out, lost_bytes);
    if (lost_bytes == lost_before) seen.remember(begin, end, first_id);
  }
  return {};
}

/// Where the stretch that begins at `begin` can be cut without changing any merge: before a ▁
/// that follows another character, unless some token reaches across.
size_t spm_encoder::word_end(std::string_view escaped, size_t begin) const {
  if (!words_stand_alone_) return escaped.size();
  const auto marked = [&](size_t at) {
    return escaped.substr(at, space_mark.size()) == space_mark;
  };
  size_t at = begin;
  while (marked(at)) at += space_mark.size();
  while (at < escaped.size() && !marked(at)) at += character_bytes(escaped[at]);
  return std::min(at, escaped.size());
}

void spm_encoder::encode_word(std::string_view word, workspace& w, std::vector<token_id>& out,
                              uint64_t& lost_bytes) const {
  w.symbols.clear();
  w.heap.clear();
  for (size_t at = 0; at < word.size();) {
    const size_t bytes = std::min(character_bytes(word[at]), word.size() - at);
    const auto i = static_cast<uint32_t>(w.symbols.size());
    w.symbols.push_back(
        {static_cast<uint32_t>(at), static_cast<uint32_t>(bytes), i == 0 ? none : i - 1, i + 1});
    at += bytes;
  }
  w.symbols.back().next = none;
  for (uint32_t i = 0; i + 1 < w.symbols.size(); ++i) push_pair(word, w, i);
  while (!w.heap.empty()) {
    std::pop_heap(w.heap.begin(), w.heap.end());
    const auto best = w.heap.back();
    w.heap.pop_back();
    auto& left = w.symbols[best.left];
    if (left.bytes == 0 || left.next == none) continue;
    auto& right = w.symbols[left.next];
    if (left.bytes + right.bytes != best.bytes) continue;
    left.bytes += right.bytes;
    right.bytes = 0;
    left.next = right.next;
    if (left.next != none) {
      w.symbols[left.next].previous = best.left;
      push_pair(word, w, best.left);
    }
    if (left.previous != none) push_pair(word, w, left.previous);
  }
  for (uint32_t i = 0; i != none; i = w.symbols[i].next) {
    const auto text = word.substr(w.symbols[i].begin, w.symbols[i].bytes);
    const auto number = texts_.find(text);
    if (number) {
      out.push_back(pieces_[*number].id);
    } else {
      append_bytes(text, out, lost_bytes);
    }
  }
}

void spm_encoder::push_pair(std::string_view word, workspace& w, uint32_t left) const {
  const auto& a = w.symbols[left];
  const uint32_t bytes = a.bytes + w.symbols[a.next].bytes;
  if (bytes > longest_) return;
  const auto number = texts_.find(word.substr(a.begin, bytes));
  if (!number) return;
  w.heap.push_back({pieces_[*number].score, left, bytes});
  std::push_heap(w.heap.begin(), w.heap.end());
}

void spm_encoder::append_bytes(std::string_view bytes, std::vector<token_id>& out,
                               uint64_t& lost_bytes) const {
  const bool all = std::all_of(bytes.begin(), bytes.end(),
                               [&](char c) { return bytes_[static_cast<uint8_t>(c)].has_value(); });
  if (all) {
    for (const char c : bytes) out.push_back(*bytes_[static_cast<uint8_t>(c)]);
  } else {
    if (unknown_) out.push_back(*unknown_);
    lost_bytes += bytes.size();
  }
}

std::array<uint8_t, 256> spm_encoder::byte_weights() const {
  std::array<uint8_t, 256> out{};
  const bool loses = !unknown_ && std::any_of(bytes_.begin(), bytes_.end(),
                                              [](const auto& id) { return !id.has_value(); });
  if (loses) return out;
  out.fill(1);
  out[' '] = space_mark.size();
  return out;
}

std::string spm_encoder::bytes_of(std::string_view text) const {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t mark = std::min(text.find(space_mark, at), text.size());
    out += text.substr(at, mark - at);
    if (mark < text.size()) out += ' ';
    at = mark + space_mark.size();
  }
  return out;
}

}  // namespace llmos
