#include "runtime/text/text_table.hpp"

#include <functional>
#include <limits>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

constexpr uint32_t free_slot = std::numeric_limits<uint32_t>::max();

uint32_t hash_of(std::string_view text) {
  const uint64_t h = std::hash<std::string_view>{}(text);
  return static_cast<uint32_t>(h ^ h >> 32);
}

}  // namespace

void text_table::reserve(size_t texts, size_t bytes) {
  bytes_.reserve(bytes);
  ends_.reserve(texts);
  size_t slots = 16;
  while (slots < 2 * texts) slots *= 2;
  if (slots > slots_.size()) rehash(slots);
}

bool text_table::add(std::string_view text) {
  LLMOS_CHECK(ends_.size() < free_slot && bytes_.size() + text.size() < free_slot);
  const uint32_t number = size();
  bytes_ += text;
  ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  if (text.empty()) return false;
  if (2 * (used_ + 1) > slots_.size()) rehash(slots_.empty() ? 16 : 2 * slots_.size());
  const uint32_t hash = hash_of(text);
  slot& s = slots_[slot_of(text, hash)];
  if (s.number != free_slot) return false;
  s = {hash, number};
  ++used_;
  return true;
}

std::string_view text_table::operator[](uint32_t number) const {
  const size_t begin = number == 0 ? 0 : ends_[number - 1];
  return std::string_view{bytes_}.substr(begin, ends_[number] - begin);
}

std::optional<uint32_t> text_table::find(std::string_view text) const {
  if (text.empty() || slots_.empty()) return std::nullopt;
  const slot& s = slots_[slot_of(text, hash_of(text))];
  return s.number == free_slot ? std::nullopt : std::optional<uint32_t>{s.number};
}

size_t text_table::slot_of(std::string_view text, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const slot& s = slots_[i];
    if (s.number == free_slot || (s.hash == hash && (*this)[s.number] == text)) return i;
  }
}

void text_table::rehash(size_t slots) {
  std::vector<slot> old(slots, slot{0, free_slot});
  old.swap(slots_);
  for (const slot& s : old) {
    if (s.number != free_slot) slots_[slot_of((*this)[s.number], s.hash)] = s;
  }
}

}  // namespace llmos
